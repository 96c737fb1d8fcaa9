"""What is built: a design with its variant, and the files that are generated of it."""
