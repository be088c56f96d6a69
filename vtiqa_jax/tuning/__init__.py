"""A model that learns what one person likes, from that person's marks."""
