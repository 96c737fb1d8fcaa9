"""Ground floor: bit-exact golden models of the two chips. NumPy and numba only."""
