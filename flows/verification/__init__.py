"""RTL against the golden model: random and directed stimulus, published vectors, mutants."""
