"""Paint in one pass: a small network gives a photo the statistics that a style code asks for."""
