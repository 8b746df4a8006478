"""Extract features with frozen networks: named layers, weight files and their sources."""
