"""Links of the concentrator: receivers, aligner, fast commands, link reset, transmitters, error flags, registers."""
