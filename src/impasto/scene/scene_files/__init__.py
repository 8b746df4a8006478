"""Read scenes from files, and write them back with other colors."""
