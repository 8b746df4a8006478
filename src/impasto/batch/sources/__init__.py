"""Find photos and read files, on this machine and in object stores."""
