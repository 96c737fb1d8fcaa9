"""Fault campaign of the protected encoder chip: what strikes, what comes of it, and how sure we are.

`faults` says what strikes, `outcome` what may come of it, `engine` who finds out (`rtl` on the generated Verilog, the
netlist engine on mapped cells), `ledger` keeps what is finished, `statistics` draws conclusions, `campaign` runs all.
"""
