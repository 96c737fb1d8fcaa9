"""Training, conversion and evaluation as the command line offers them."""
