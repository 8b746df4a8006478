"""Serve a local page and an HTTP API over a queue of jobs that survives kills."""
