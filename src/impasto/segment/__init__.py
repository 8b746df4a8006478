"""Masks that are found rather than drawn, given as a word in place of a mask's file."""
