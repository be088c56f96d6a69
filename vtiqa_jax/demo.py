"""stub"""
from pathlib import Path
from vtiqa_jax.training import Recipe
from vtiqa_jax.config import LabelScale
RECIPE = Recipe()
SCALE = LabelScale("demo",1,5)
LABELS=""
