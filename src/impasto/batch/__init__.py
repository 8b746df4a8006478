"""Batches: plans which pictures to make, hands them to workers, and records the results."""
