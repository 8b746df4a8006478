"""Read what Pillow does not: TIFF of any depth, chunks of PNG, boxes of HEIF, unfinished files."""
