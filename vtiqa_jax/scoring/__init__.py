"""Photos to scores: the scorer, test-time mosaics, and maps of where in a photo a score comes from."""
