"""Choosing among several photos: shots that belong together, and the best of them."""
