"""Turn words into a painting: a small grammar, and procedural paintings in many techniques."""
