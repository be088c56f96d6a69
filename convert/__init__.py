"""Weights in and out: published PyTorch files to Orbax checkpoints and back (`python -m convert --help`)."""
