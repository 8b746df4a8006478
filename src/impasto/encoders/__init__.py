"""VGG networks: named feature taps, and the weight files they are read from."""
