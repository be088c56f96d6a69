"""Standard output and standard error that take any text, whatever their encoding."""

import codecs
import io
import os
import sys

LIKENESS = {"±": "+-", "•": "*"}
"""Substitutes for characters that an encoding lacks. Others are told by their number, as in a string of Python's."""


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
