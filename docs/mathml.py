"""Formulas of the site: a fence of the language `math`, which GitHub draws too, becomes MathML in the built page."""

from typing import Any

from latex2mathml.converter import convert


def formula(source: str, *_: Any, **__: Any) -> str:
    """Turns LaTeX into MathML, which browsers draw without a script."""
    return f'<p style="overflow-x: auto">{convert(source, display="block")}</p>'


def on_config(config: Any) -> None:
    """Hands the fence to the extension that reads fences; MkDocs calls it."""
    fences = config.mdx_configs.setdefault("pymdownx.superfences", {}).setdefault("custom_fences", [])
    fences.append({"name": "math", "class": "formula", "format": formula})
