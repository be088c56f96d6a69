"""What the trainer (`vtiqa_jax/train.py`) needs: recipes, a run's state on disk, logs, options."""
