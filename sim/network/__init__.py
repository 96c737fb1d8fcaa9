"""Any feed-forward network of fixed-point layers: its specification, weights and bit-exact golden model."""
