"""Define a good picture: losses as pure functions, terms that apply them, and objectives."""
