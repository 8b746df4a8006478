"""Find paintings by name and by likeness: those that ship with impasto, and those of a folder."""
