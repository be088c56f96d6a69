"""Scoring as many photos as a cluster can: Ray Data around the model. Needs the extra `bulk`."""
