"""What every room of flows uses: processes, folders, caches, metrics, the journal of a run, clusters."""
