"""Optimize a picture: passes over its scales, objectives, solvers, memory and checkpoints."""
