"""Making the picture: canvas, schedule of scales, solvers, and the loop that yields steps."""
