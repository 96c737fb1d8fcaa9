"""Components and export helpers shared by both chips."""
