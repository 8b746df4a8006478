"""Pictures in and out of files: decoding, colour, metadata, encoding. Imports no torch."""
