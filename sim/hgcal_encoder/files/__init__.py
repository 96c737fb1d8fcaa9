"""Files that users have: published vectors, charges, networks of Keras."""
