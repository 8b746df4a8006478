"""Convert pictures to tensors, prepare their colors, and crop and blur them."""
