"""Power and energy from activity: gates simulated on real stimulus, glitches, a modelled clock tree."""
