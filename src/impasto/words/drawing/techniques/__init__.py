"""Group the techniques by what they are made with."""
