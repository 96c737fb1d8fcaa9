"""Golden model of the HGCAL encoder: the reconfigurable autoencoder of the CMS ECON-T ASIC, bit for bit.

One module per stage of the data path, in the order of the chip: `words`, `multiplex`, `decode`, `calibrate`,
`normalise`, `grid`, `convolution`, `dense`, `frame`; `encoder` joins them.
"""
