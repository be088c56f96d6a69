"""Anything that scores photos beside people, on the public data sets that a person has."""
