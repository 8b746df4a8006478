"""Draw a painting: noise, inks, a composition, marks, and one function a technique."""
