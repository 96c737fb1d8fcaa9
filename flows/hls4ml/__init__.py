"""liquidcal as a backend of hls4ml: networks from Keras, QKeras and others to verified hardware."""
