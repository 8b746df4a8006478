"""The network of impasto that paints in one pass: its layers, its grade, and how it is run."""
