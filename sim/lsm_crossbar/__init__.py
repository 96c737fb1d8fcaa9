"""Golden model of the liquid state machine on a resistive-memory crossbar, bit for bit.

`spec` says what the chip is; `device` and `array` draw and disturb conductances in physical units;
`conductance_file` carries one draw to every reader. The stages follow the chip: `row_driver`, `macro` (with
`noise` and `adc`), `neuron`, `liquid`, `readout`. `energy` costs what they did.
"""
