"""`python eval.py`: the same as `vtiqa eval`. The code is vtiqa_jax/commands/eval.py."""

from vtiqa_jax import cli
from vtiqa_jax.__main__ import EVAL


def main() -> None:
    """Entry point."""
    cli.run(EVAL, "eval.py")


if __name__ == "__main__":
    main()
