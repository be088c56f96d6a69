"""The page that --help prints: plain text, filled to the terminal's width."""

import re
import textwrap
from typing import Any

from cyclopts.help import HelpEntry, HelpPanel
from rich.console import Console, ConsoleOptions

WIDE = 60
"""Columns from which on descriptions stand beside their options."""
UNTOLD = ("None", "False", "()")
"""Defaults that go without saying."""


class HelpPage:
    """Cyclopts' formatter of help."""

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:
        """Prints how the command is called."""
        _print(console, _fill(f"Usage: {_text(console, usage)}", options.max_width, "", " " * 8), "")

    def render_description(self, console: Console, options: ConsoleOptions, description: Any) -> None:
        """Prints what the command does, by paragraphs."""
        for paragraph in re.split(r"\n\s*\n", _text(console, description).strip()):
            is_code = re.search(r"^ {4}", paragraph, re.MULTILINE)
            _print(console, f"    {paragraph.strip()}" if is_code else _fill(paragraph, options.max_width), "")

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Prints a list of options or commands."""
        if panel.entries:
            lines = [_entry(entry, _text(console, entry.description), options.max_width) for entry in panel.entries]
            _print(console, f"{panel.title}:", *lines, "")


def _print(console: Console, *lines: str) -> None:
    print(*lines, sep="\n", file=console.file)


def _text(console: Console, shown: Any) -> str:
    """Returns the text of what Rich can show."""
    return "".join(part.text for part in console.render(shown, console.options.update(width=100_000)))


def _fill(text: str, width: int, first: str = "", further: str = "") -> str:
    text = " ".join(text.split())
    return textwrap.fill(
        text, width, initial_indent=first, subsequent_indent=further, break_on_hyphens=False, break_long_words=False
    )


def _entry(entry: HelpEntry, description: str, width: int) -> str:
    """Formats an option or command, and what is said of it."""
    notes = []
    if entry.choices:
        notes.append(f"one of {', '.join(entry.choices)}")
    if entry.required:
        notes.append("required")
    if entry.default is not None and entry.default not in UNTOLD:
        notes.append(f"default: {entry.default}")
    label = f"  {', '.join(entry.display_labels_with_metavar)}"
    indent = " " * (26 if width >= WIDE else 6)
    noted = f" ({'; '.join(notes)})" if notes else ""
    text = _fill(description + noted, width, indent, indent)
    beside = len(label) + 2 <= len(indent)
    return f"{label}{text[len(label) :]}" if beside else f"{label}\n{text}".rstrip()
