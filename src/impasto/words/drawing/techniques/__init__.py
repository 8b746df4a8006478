"""The techniques, by what they are made with."""
