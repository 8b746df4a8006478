"""Extract features with VGG networks: named layers, weight files and their sources."""
