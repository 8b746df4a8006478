"""Find masks in pictures: words, rectangles, scribbles, corresponding regions, small networks."""
