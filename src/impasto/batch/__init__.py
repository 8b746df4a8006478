"""Many pictures: what to make, who makes it, and the record of what came of it."""
