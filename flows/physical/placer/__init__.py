"""Placement of standard cells: quadratic start, spreading, rows, detailed improvement. Arrays in, arrays out."""
