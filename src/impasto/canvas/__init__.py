"""What is optimized: parameters, and a map from them to the images that the objective sees."""
