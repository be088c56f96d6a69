"""Parts of the trainer (`vtiqa_jax/train.py`): recipes, a run's state on disk, logs, options."""
