"""Links of the concentrator, bit by bit: receivers, aligner, fast commands, link reset, transmitters, error flags."""
