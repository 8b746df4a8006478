"""Seeing inside the network: reconstructions, textures, activations."""
