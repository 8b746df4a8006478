"""Finds photos and reads files, on this machine and in object stores."""
