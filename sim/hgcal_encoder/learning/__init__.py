"""Learning: metric, decoder, losses, training in the chip's number format."""
