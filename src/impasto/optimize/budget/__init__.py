"""Predict the time and memory of a run, and choose a layout that fits."""
