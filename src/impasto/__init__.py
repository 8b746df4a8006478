"""impasto: repaint a photo in the style of any painting."""
