"""Registers of the chip, its driver and files of register images."""
