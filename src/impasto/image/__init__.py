"""Read, write and convert pictures: files, color, masks, resizing. Nothing here imports torch."""
