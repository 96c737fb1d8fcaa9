"""Golden model of the neuron-astrocyte liquid: a liquid that plasticity tunes to the edge of chaos.

`spec` says what the liquid is, `network` draws its connections. `published` is the liquid in floating point as its
authors wrote it; `neuron`, `synapse`, `astrocyte` and `readout` are the stages of the chip in integers, `liquid` joins
them. `kernel` computes both, event by event.
"""
