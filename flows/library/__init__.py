"""Cell libraries: Liberty and LEF files, kits by name, tables of power and delay."""
