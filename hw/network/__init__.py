"""Generators of the hardware of any network of `sim.network`: one module per layer, registers between them."""
