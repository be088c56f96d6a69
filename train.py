"""`python train.py`: the same as `vtiqa train`. The trainer itself is vtiqa_jax/train.py."""

from vtiqa_jax import cli
from vtiqa_jax.__main__ import TRAIN


def main() -> None:
    """Entry point."""
    cli.run(TRAIN, "train.py")


if __name__ == "__main__":
    main()
