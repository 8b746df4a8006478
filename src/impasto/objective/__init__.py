"""What a good picture is: losses as pure functions, terms that apply them, and objectives."""
