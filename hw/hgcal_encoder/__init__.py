"""Hardware of the HGCAL encoder: one Amaranth component per stage, named as in `sim.hgcal_encoder`.

The stages are combinational; `encoder` joins them and places the pipeline registers. Everything is generated from an
`EncoderSpec`.
"""
