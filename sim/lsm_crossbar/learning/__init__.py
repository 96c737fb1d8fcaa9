"""Learning: readout training, health of a liquid, trained models."""
