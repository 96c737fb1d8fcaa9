"""Association of two liquids: projections into one space, matching against stored embeddings, anchors, training."""
