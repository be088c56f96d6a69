"""`python -m convert`: the same as `vtiqa convert`. The code is vtiqa_jax/commands/convert.py."""

from vtiqa_jax import cli
from vtiqa_jax.__main__ import CONVERT


def main() -> None:
    """Entry point."""
    cli.run(CONVERT, "python -m convert")


if __name__ == "__main__":
    main()
