"""The demonstration: a real time-lapse, a dozen cells, one prompt each."""
