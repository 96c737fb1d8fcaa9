"""The commands of the command line: each parses, calls a step and prints."""
