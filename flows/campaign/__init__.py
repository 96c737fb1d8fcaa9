"""The fault campaign: upsets injected into RTL or netlist, outcomes, rates in beam."""
