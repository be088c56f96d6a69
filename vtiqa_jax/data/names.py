"""Names of photos, matched as file systems do: exactly or, where that is unambiguous, but for upper and lower case."""

from collections.abc import Iterable, Sequence

from vtiqa_jax.errors import UserError


def match_names(listed: Iterable[str], names: Sequence[str], where: str) -> dict[str, int]:
    """Finds listed photos among those that are there.

    A photo is matched by its exact name, or by the one name that differs from it in upper and lower case only and is
    no other listed photo's exact name.

    Args:
        listed: the photos looked for.
        names: the photos that are there.
        where: what holds `names`, for messages.

    Returns:
        The row in `names` of each listed photo that is there; no two have the same row.

    Raises:
        UserError: a name could be either of two, or two listed names could be one photo.
    """
    unique = dict.fromkeys(listed)
    exact = {name: row for row, name in enumerate(names)}
    matched = {name: exact[name] for name in unique if name in exact}
    if len(matched) == len(unique):
        return matched
    others: dict[str, list[str]] = {}
    for name in exact:
        if name not in unique:
            others.setdefault(name.casefold(), []).append(name)
    asking: dict[str, str] = {}
    for name in unique:
        found = others.get(name.casefold(), [])
        if name in exact or not found:
            continue
        if len(found) > 1:
            raise UserError(
                f"{where}: {name} could be {' or '.join(sorted(found))}, which differ in upper and lower case only"
            )
        if found[0] in asking:
            raise UserError(
                f"{where}: {found[0]} could be {asking[found[0]]} or {name}, which differ in upper and lower case only"
            )
        asking[found[0]] = name
        matched[name] = exact[found[0]]
    return matched
