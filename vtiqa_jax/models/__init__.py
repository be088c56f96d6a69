"""The models: what they compute, their parameters by name, and how they are kept on disk."""
