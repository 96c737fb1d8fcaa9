"""One file per command of the command line; `flows.cli` registers them."""
