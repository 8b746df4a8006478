"""Measure how good a result is: the metrics of `impasto compare`."""
