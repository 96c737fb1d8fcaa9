"""Hardware of the neuron-astrocyte liquid: one Amaranth component per stage, named as in `sim.astrocyte_liquid`.

`astrocyte_liquid` joins the stages: spikes are found one by one, every lane walks its synapses, then all neurons are
swept. Everything is generated from an `AstrocyteSpec`; memories are behavioural (simulation, FPGA) or black boxes with
the same pins (ASIC).
"""
