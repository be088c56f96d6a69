"""The command `vtiqa-onnx`."""

import sys

from vtiqa_jax import exits, terminal
from vtiqa_onnx.command import run


def main() -> None:
    """Runs the console command."""
    terminal.accept_any_text()
    exits.run(lambda: run(sys.argv[1:]), "vtiqa-onnx")


if __name__ == "__main__":
    main()
