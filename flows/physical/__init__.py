"""From cells to a placed and timed design: placement, repair, timing, exports, FPGAs."""
