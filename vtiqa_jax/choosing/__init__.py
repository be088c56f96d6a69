"""Which of several photos to keep: shots that belong together, and the best of them."""
