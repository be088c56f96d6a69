"""Finds the ViT in a weights file: below which prefix it stands, and what stands beside it.

Training scripts keep it with a teacher or a student, with heads, projectors, decoders and optimizers.
"""

import dataclasses
import itertools
import re
from collections import Counter

from vtiqa_jax.convert import hugging_face
from vtiqa_jax.convert.files import Arrays
from vtiqa_jax.errors import UserError

PATCH_KERNEL = "patch_embed.proj.weight"
"""The array that tells timm's layout."""
BESIDE = re.compile(
    r"(heads?|fc|classifier|pooler|pre_logits|mask_token|masked_embed|projector|projection_head|predictor|prototypes|"
    r"[a-z]+_head|decoder|decoder_[a-z_]+)(\..*)?"
)
"""Parts of a ViT's module that its features do not need."""
SHOWN = 8
"""Groups of arrays that are named in one line."""


@dataclasses.dataclass(frozen=True)
class FoundViT:
    """A ViT as it was found in a file."""

    arrays: Arrays
    """Its arrays under timm's names."""
    prefix: str
    """Prefix of their names in the file, "" or ending in a dot."""
    notes: list[str]
    """Lines that say what was taken and what was left out."""


def _prefixes(arrays: Arrays) -> list[str]:
    """Returns what the names of a ViT's arrays begin with, "" or ending in a dot; of each ViT in the file."""
    ends = (PATCH_KERNEL, hugging_face.PATCH_KERNEL)
    return sorted({key.removesuffix(end) for end in ends for key in arrays if key == end or key.endswith(f".{end}")})


def _is_whole(arrays: Arrays, prefix: str) -> bool:
    """Tells whether blocks and a class token stand below a prefix, too."""
    blocks, tokens = ("blocks.", "encoder.layer."), ("cls_token", "embeddings.cls_token")
    return any(key.startswith(tuple(prefix + start for start in blocks)) for key in arrays) and any(
        prefix + token in arrays for token in tokens
    )


def _choose(name: str, arrays: Arrays, prefixes: list[str], prefix: str | None) -> str:
    if not prefixes:
        shown = ", ".join(list(arrays)[:3])
        raise UserError(
            f"{name} holds no ViT with the names of timm or Hugging Face: no array is called {PATCH_KERNEL} or"
            f" {hugging_face.PATCH_KERNEL}; it begins with {shown}"
        )
    if prefix is not None:
        dotted = f"{prefix.removesuffix('.')}." if prefix else ""
        if dotted not in prefixes:
            raise UserError(f"{name} holds no ViT below --prefix {prefix!r}; there is one below {_listed(prefixes)}")
        return dotted
    whole = [one for one in prefixes if _is_whole(arrays, one)] or prefixes
    if len(whole) > 1:
        raise UserError(f"{name} holds several ViTs; say which with --prefix: {_listed(whole)}")
    return whole[0]


def _listed(prefixes: list[str]) -> str:
    return " or ".join(repr(prefix.removesuffix(".")) for prefix in prefixes)


def _number_blocks(arrays: Arrays) -> Arrays:
    """Numbers blocks that are kept in chunks, `blocks.<chunk>.<block>.norm1.weight`, in one row.

    DINOv2 counts its blocks through, other programs anew in each chunk.
    """
    chunked = {key: match for key in arrays if (match := re.match(r"blocks\.([0-9]+)\.([0-9]+)\.(.*)", key))}
    places = {(int(match[1]), int(match[2])) for match in chunked.values()}
    counted_through = len({block for _, block in places}) == len(places)
    last = dict(sorted(places))
    first = dict(zip(last, itertools.accumulate((1 + block for block in last.values()), initial=0), strict=False))
    numbered: Arrays = {}
    for key, array in arrays.items():
        name = key
        if match := chunked.get(key):
            block = int(match[2]) + (0 if counted_through else first[int(match[1])])
            name = f"blocks.{block}.{match[3]}"
        name = re.sub(r"^(blocks\.[0-9]+)\.gamma_([12])$", r"\1.ls\2.gamma", name)  # DeiT III
        if name in numbered:
            raise ValueError(f"{key} and another array are both {name}")
        numbered[name] = array
    return numbered


def _group(key: str, prefix: str) -> str:
    """Returns the name of the module, if it is not the ViT's own, under which an array is left out."""
    parts, own = key.split("."), prefix.split(".")[:-1]
    shared = next((i for i, (part, mine) in enumerate(zip(parts, own, strict=False)) if part != mine), len(own))
    return ".".join(parts[: shared + 1])


def find_vit(name: str, arrays: Arrays, prefix: str | None = None) -> FoundViT:
    """Takes the one ViT out of a file.

    Args:
        name: the file's name, for messages.
        arrays: the file's arrays.
        prefix: what the names of the ViT's arrays begin with, "teacher.backbone"; needed where the file holds several.

    Raises:
        UserError: the file holds no ViT, or several and no prefix is given.
    """
    found = _prefixes(arrays)
    chosen = _choose(name, arrays, found, prefix)
    others = tuple(other for other in found if other.startswith(chosen) and other != chosen)
    own = {key for key in arrays if key.startswith(chosen) and not key.startswith(others)}
    inside = {key.removeprefix(chosen): array for key, array in arrays.items() if key in own}
    try:
        renamed = _number_blocks(hugging_face.to_timm(inside))
    except ValueError as error:
        raise UserError(f"{name} is not a ViT that can be converted: {error}") from error
    kept = {key: array for key, array in renamed.items() if not BESIDE.fullmatch(key)}
    groups = Counter(_group(key, chosen) for key in arrays if key not in own)
    groups += Counter(chosen + key.split(".")[0] for key in renamed if key not in kept)
    notes = [f"taken: the ViT below {chosen.removesuffix('.')}"] if chosen else []
    if groups:
        shown = [f"{group} ({count} arrays)" if count > 1 else group for group, count in groups.most_common(SHOWN)]
        more = [f"and {len(groups) - SHOWN} more"] if len(groups) > SHOWN else []
        notes.append(f"left out: {', '.join(shown + more)}")
    return FoundViT(kept, chosen, notes)
