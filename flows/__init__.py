"""Flow steps of liquidcal: cell libraries, synthesis, metrics. Each step has declared inputs and its own directory."""
