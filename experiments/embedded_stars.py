"""Puts stars into JPEGs, in memory, and counts the results.

For example:

    python experiments/embedded_stars.py FOLDER [FOLDER ...]

It counts the JPEGs that keep everything else, those whose bytes move, and those that are refused. Nothing is written.
If the white space of a packet has room, nothing in its file moves.
"""

import collections
import re
from pathlib import Path

from vtiqa_jax import cli
from vtiqa_jax.xmp import jpeg, splice
from vtiqa_jax.xmp.packet import Stars
from vtiqa_jax.xmp.rdf import Refused

STARS = Stars(3, ("vtiqa: too dark",))


def embed(data: bytes) -> str:
    """Returns what comes of stars in a JPEG."""
    try:
        photo = jpeg.read(data)
        inner = photo.packet
        new = photo.with_packet(splice.make(STARS) if inner is None else splice.add(inner, STARS))
        jpeg.require_same_picture(data, new)
    except Refused as error:
        return f"refused: {re.sub(', line.*', '', str(error))}"
    kind = "a packet" if inner else "no packet"
    return f"{kind}{', several pictures' if photo.starting(jpeg.MULTI_PICTURE) else ''}, " + (
        "nothing moves" if len(new) == len(data) else "the rest moves"
    )


def main(*folders: Path) -> None:
    """Prints a table.

    Args:
        folders: Folders of JPEGs, searched at any depth.
    """
    files = [file for folder in folders for file in folder.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg")]
    counts = collections.Counter(embed(file.read_bytes()) for file in files)
    print(f"| {len(files)} JPEGs | |\n|---|---|")
    for outcome, count in counts.most_common():
        print(f"| {outcome} | {count} |")


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
