"""Pictures in and out of files: decoding, color, metadata, encoding. Imports no torch."""
