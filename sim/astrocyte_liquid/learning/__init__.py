"""Learning: images as spikes, the phases of the published protocol, readout training, trained models."""
