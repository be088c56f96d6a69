"""Lists which photos of BIQ2021's ss01 show one scene, taken several times at other exposures, colours and focus.

They were sorted by eye on contact sheets.
"""

SERIES = {
    "ball": "1-9", "massager": "10-16", "smiley": "17-25", "elephant": "26-34", "helicopter": "35-41",
    "truck": "42-50", "cat": "51-57", "rabbit": "58-65", "banner/a": "66-70", "banner/b": "71-72", "cup": "73-78",
    "remotes/a": "79-80", "remotes/b": "81-87", "mug": "88-95", "leaves/a": "96", "leaves/b": "97-103",
    "peas/a": "104,106-114", "peas/b": "105", "hexagons/a": "115-117", "hexagons/b": "118-119", "park": "120-125",
    "sphere": "126-129", "butterfly": "130-135", "cloth": "136-145", "sharpener": "146-148", "handset/a": "149",
    "handset/b": "150-155", "pomegranate/a": "156", "pomegranate/b": "157-163", "pomegranate/c": "164",
    "tree": "165-177", "overpass": "178-190", "skyline": "191-202", "car park": "203-215", "street": "216-226",
    "plate/a": "227-245", "plate/b": "246", "keyboard/a": "247-251", "keyboard/b": "252-265", "almonds/a": "266-271",
    "almonds/b": "272-274", "almonds/c": "275-282", "rescue/a": "700-708", "rescue/b": "709-721", "car": "722-733",
    "train": "734-745", "piano": "746-757", "toy": "758-767", "make-up": "768-781", "curler": "782-790",
    "shelf": "791-804", "house": "805-819", "pig": "820-827", "road": "1300-1303", "umbrella": "1304-1318",
    "square": "1319-1332", "door": "1333", "boards": "1334-1349", "seat/a": "1350-1369", "seat/b": "1370-1384",
    "leaf": "1385-1404", "floor": "1405-1420", "children": "1422-1431", "pot": "1432-1446",
}  # fmt: skip
"""Numbers of the files by series. `scene/a` and `scene/b` show one scene in different framing."""


def read_series() -> dict[str, str]:
    """Returns the series of each sorted photo, by its name."""
    found = {}
    for series, ranges in SERIES.items():
        for part in ranges.split(","):
            first, _, last = part.partition("-")
            found |= {f"ss01 ({number}).jpg": series for number in range(int(first), int(last or first) + 1)}
    return found
