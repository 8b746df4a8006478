"""Define the network of impasto that paints in one pass: its layers and its grade."""
