"""What is told of a photo: results, their words, columns, files and cache. Nothing here computes with JAX."""
