"""Estimates that no tool measures: translation between nodes, carbon, published chips, energy of the macro."""
