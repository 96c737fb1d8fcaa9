"""The other algorithms of ECON-T beside the autoencoder, and what they reconstruct."""
