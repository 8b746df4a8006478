"""Show what the network sees: reconstructions, textures and activations."""
