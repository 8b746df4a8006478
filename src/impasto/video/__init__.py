"""Clips and films: reading and writing them, and painting their frames without flicker."""
