"""Stimulus from real data: showers for the encoder, recordings for the crossbar, waveforms of I2C."""
