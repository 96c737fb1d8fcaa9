"""Recordings of events: formats, encodings, a synthesised event camera."""
