"""Results: their words, columns, files and cache. Nothing here computes with JAX."""
