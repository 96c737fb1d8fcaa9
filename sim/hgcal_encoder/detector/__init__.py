"""The endcap in front of the chip: particles, showers, geometry, digitisation."""
