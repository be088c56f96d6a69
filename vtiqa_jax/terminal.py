"""Standard output and standard error that take any text, whatever their encoding and whatever is in a name."""

import codecs
import io
import os
import re
import sys

LIKENESS = {"±": "+-", "•": "*"}
"""Substitutes for characters that an encoding lacks. Others are told by their number, as in a string of Python's."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Characters that end a line, move or colour what a terminal shows, or turn the direction of what follows."""


def visible(text: object) -> str:
    """Returns a name, or a line with names, in which each character that would act on a terminal is told by its number.

    Names of files may hold any of them: a line end would make two lines of one.
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


def accept_any_text() -> None:
    """Makes both streams print what their encoding lacks in its place, and the bytes of names that are no text as such.

    A stream that is closed becomes one that leads nowhere.
    """
    codecs.register_error("vtiqa", _encode_otherwise)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="vtiqa")


def _encode_otherwise(error: UnicodeError) -> tuple[str | bytes, int]:
    """Returns what stands for the first character that could not be encoded, and where to go on."""
    assert isinstance(error, UnicodeEncodeError)
    character, position = error.object[error.start], error.start + 1
    if "\udc80" <= character <= "\udcff":  # Python's sign for a byte of a name that it could not decode
        return bytes([ord(character) - 0xDC00]), position
    return LIKENESS.get(character) or character.encode("ascii", "backslashreplace").decode(), position
