"""What a good picture is: content, style and smoothness losses as pure functions, and their sum."""
