"""Read a request: its body, its masks, and the folder that its pictures are staged in."""
