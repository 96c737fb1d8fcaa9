"""Programs that are run, one file each, which owns its flags and errors: yosys, Verilator; their text formats."""
