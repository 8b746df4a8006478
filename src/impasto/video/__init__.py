"""Moving pictures: clips in and out, motion, and results that hold still where the clip does."""
