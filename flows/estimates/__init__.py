"""Estimates that no tool measures: other nodes, carbon, published chips, energy of the macro."""
