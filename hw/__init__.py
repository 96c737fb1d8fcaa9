"""Hardware generators: Amaranth components that read their specs and formats from `sim`, never a model."""
