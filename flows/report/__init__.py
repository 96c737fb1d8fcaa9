"""The HTML report of a design: sections, drawings, tables."""
