"""Describe the machine: devices, free memory and disk, and where large tensors are stored."""
