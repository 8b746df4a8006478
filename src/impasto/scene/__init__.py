"""Paint three-dimensional scenes: what is optimized are colors, geometry stays as it is."""
