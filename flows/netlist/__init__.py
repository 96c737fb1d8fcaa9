"""A mapped netlist in memory: its cells and nets, 64-fold simulation, delays."""
