"""The command `pyiqa`, with the metric `vtiqa`: `python -m vtiqa_pyiqa vtiqa -t photos`."""

from pyiqa.pyiqa_cmd import main

import vtiqa_pyiqa  # noqa: F401

main()
