"""Steps that commands, sweeps and Python users call: a function of a design and a folder."""
