"""Photos on disk: which files are photos, their pixels, the sizes and views that models see. Imports no JAX."""
