"""One pass: a small network that gives a photo the statistics a style code asks for."""
