"""`python -m convert`: the converter's commands, see vtiqa_jax/commands/convert.py."""

from vtiqa_jax import cli
from vtiqa_jax.commands import convert


def main() -> None:
    """Entry point."""
    cli.run(convert.COMMANDS, "python -m convert", convert.__doc__)


if __name__ == "__main__":
    main()
