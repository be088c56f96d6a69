"""Weights in and out: published PyTorch files to parameters of ours, and back."""
