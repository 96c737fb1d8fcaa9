"""Hardware of the LSM crossbar: one Amaranth component per stage, named as in `sim.lsm_crossbar`.

`crossbar` joins the stages. Everything is generated from a `CrossbarSpec`; the macro is a behavioural memory that loads
the conductance file (simulation, FPGA) or a black box with the same pins (ASIC).
"""
