"""Define what is optimized: parameters, and a map from them to images that an objective sees."""
