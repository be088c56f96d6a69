"""Stacks: what belongs together, what it is, and what must not be taken for it."""

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.scenes import START, exposed, focused, panned, scene, shaken, taken
from vtiqa_jax.choosing import bursts, shots
from vtiqa_jax.choosing.stacks import KEPT_WHOLE, Stack, find_stacks, mark_stacks, say_stack, say_stacks
from vtiqa_jax.data import demo
from vtiqa_jax.photos.resize import Rgb
from vtiqa_jax.photos.sketch import Sketch, make_sketch
from vtiqa_jax.results.results import ScoreResult

NAMES = ("astronaut.png", "coffee.png", "china.jpg", "chelsea.png")
DAY = 86_400.0


def kinds(results: Sequence[ScoreResult]) -> list[tuple[str, tuple[int, ...]]]:
    return [(stack.kind, stack.members) for stack in find_stacks(results)]


def said(result: ScoreResult, **fields: Any) -> ScoreResult:
    """The result of a photo whose file says something else."""
    assert result.capture is not None
    return dataclasses.replace(result, capture=dataclasses.replace(result.capture, **fields))


def burst(name: str = "china.jpg", count: int = 4, every: float = 0.5, **fields: Any) -> list[ScoreResult]:
    ranks = [3.0 + (number * 7 % 5) / 10 for number in range(count)]
    return [
        taken(shaken(scene(name), number), number * every, f"IMG_{number}.jpg", ranks[number], **fields)
        for number in range(count)
    ]


# ---- Sketches ----


def test_a_sketch_survives_being_bytes() -> None:
    for pixels in (scene("china.jpg"), scene("china.jpg")[:7, :3], scene("china.jpg")[:1, :1]):
        made = make_sketch(np.ascontiguousarray(pixels))
        again = Sketch.unpack(made.pack())
        np.testing.assert_array_equal(again.grey, made.grey)
        np.testing.assert_allclose(again.sharpness, made.sharpness, atol=0.5 / 16)
    assert len(make_sketch(scene("china.jpg")).pack()) < 10_000


def test_a_large_screen_makes_about_the_same_sketch() -> None:
    small = scene("china.jpg")
    large = cv2.resize(small, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    difference = make_sketch(large).grey.astype(int) - make_sketch(small).grey
    assert np.abs(difference).mean() < 2


# ---- Bursts ----


@pytest.mark.parametrize("name", NAMES)
def test_tries_at_one_picture_are_a_burst_and_the_first_by_rank_is_the_best(name: str) -> None:
    results = burst(name)
    assert find_stacks(results) == [Stack("burst", (0, 1, 2, 3), (2,))]  # 3.0, 3.2, 3.4, 3.1
    lower = find_stacks(results, higher_is_better=False)
    assert lower[0].best == (0,)


def test_in_one_light_detail_counts_for_more() -> None:
    """A frame that is a little soft is as good on a screen; where light differs, people choose by light."""
    pixels = scene("coffee.png")
    for stops, best in ((0.2, (1,)), (1.0, (0,))):
        other = shaken(exposed(pixels, -stops), 1)
        pair = [taken(shaken(pixels, 0), 0, "a.jpg", 3.5, detail=3.0), taken(other, 1, "b.jpg", 3.4, detail=3.3)]
        (stack,) = find_stacks(pair)
        assert (stack.kind, stack.best) == ("burst", best)


def test_equal_ranks_go_by_name_and_nine_comes_before_ten() -> None:
    pictures = [shaken(scene("coffee.png"), seed) for seed in (0, 1)]
    results = [taken(pictures[0], 0, "IMG_10.jpg"), taken(pictures[1], 0.5, "IMG_9.jpg")]
    assert find_stacks(results)[0].best == (1,)


def test_other_scenes_between_them_are_not_of_the_burst() -> None:
    first = burst(every=1.0)
    second = [dataclasses.replace(result, image=f"b{result.image}") for result in burst("coffee.png", every=1.0)]
    mixed = list(itertools.chain(*zip(first, second, strict=True)))
    assert kinds(mixed) == [("burst", (0, 2, 4, 6)), ("burst", (1, 3, 5, 7))]


def test_failed_photos_and_lone_ones_are_in_no_stack() -> None:
    assert find_stacks([]) == []
    assert find_stacks(burst(count=1)) == []
    failed = ScoreResult("broken.jpg", None, "broken")
    unsketched = ScoreResult("old.jpg", 3.0)
    results = [failed, *burst(count=2), unsketched]
    stacks = find_stacks(results)
    assert [stack.members for stack in stacks] == [(1, 2)]
    marked = mark_stacks(results, stacks)
    assert [(result.stack, result.stack_kind, result.best) for result in marked] == [
        (None, None, None), (1, "burst", False), (1, "burst", True), (None, None, True)
    ]  # fmt: skip


def test_photos_hours_apart_are_no_stack_however_alike() -> None:
    hours = [taken(shaken(scene("china.jpg"), number), number * 3600.0, f"{number}.jpg") for number in range(4)]
    assert kinds(hours) == []
    assert kinds(burst(every=shots.GAP + 1)) == []
    assert kinds(burst(every=shots.GAP - 1)) == [("burst", (0, 1, 2, 3))]


def test_a_long_exposure_does_not_end_a_burst() -> None:
    """Seconds are counted from the end of one to the start of the next."""
    assert kinds(burst(count=2, every=40.0, exposure_time=30.0)) == [("burst", (0, 1))]
    assert kinds(burst(count=2, every=40.0)) == []


def test_midnight_and_the_turn_of_a_year_are_seconds_like_others() -> None:
    midnight = DAY * 19_723  # the start of 2024
    before, after = burst(count=2)
    results = [said(before, time=midnight - 0.5), said(after, time=midnight + 0.5)]
    assert kinds(results) == [("burst", (0, 1))]


def test_clocks_that_jump_an_hour_are_read_by_their_zone() -> None:
    """Two minutes before summer time ends, and a second after: an hour back on the clock."""
    first, second = burst(count=2, every=1.0, zone=7200.0)
    an_hour_back = START + 1.0 - 3600
    assert kinds([first, said(second, time=an_hour_back, zone=3600.0)]) == [("burst", (0, 1))]
    assert kinds([first, said(second, time=an_hour_back, zone=None)]) == []


def test_two_photographers_at_one_event_have_a_burst_each() -> None:
    mine, hers = burst(count=3), burst(count=3, serial="2")
    hers = [dataclasses.replace(result, image=f"DSC_{at}.jpg") for at, result in enumerate(hers)]
    assert kinds(mine + hers) == [("burst", (0, 1, 2)), ("burst", (3, 4, 5))]
    other = burst(count=3, model="Another")
    assert [members for _, members in kinds(mine + other)] == [(0, 1, 2), (3, 4, 5)]


def test_a_file_that_lost_its_serial_number_is_of_the_only_such_camera() -> None:
    first, second, third = burst(count=3)
    lost = said(second, serial="")
    assert kinds([first, lost, third]) == [("burst", (0, 1, 2))]
    assert kinds([first, lost, said(third, serial="2")]) == [], "whose it is nobody can say"


def test_several_shots_of_one_second_stay_in_their_order_and_are_no_copies() -> None:
    """By a camera that writes no fractions; handheld, thus never quite the same."""
    results = [
        taken(shaken(scene("coffee.png"), number), number // 5, f"IMG_{number + 7}.jpg", has_fraction=False)
        for number in range(10)
    ]
    assert kinds(results) == [("burst", tuple(range(10)))]


def test_a_portrait_among_landscapes_is_not_of_their_burst() -> None:
    turned = taken(np.ascontiguousarray(np.rot90(scene("china.jpg"))), 1.0, "z.jpg")
    assert kinds([*burst(count=3, every=1.0), turned]) == [("burst", (0, 1, 2))]


def test_black_frames_are_no_stack_and_join_none() -> None:
    black = np.zeros((427, 640, 3), np.uint8)
    frames = [taken(black, number * 0.5, f"b{number}.jpg") for number in range(3)]
    assert kinds(frames) == []
    assert kinds([taken(black, None, f"b{number}.jpg") for number in range(3)]) == []
    assert kinds([*burst(count=2), *(taken(black, 2.0 + at, f"b{at}.jpg") for at in range(2))]) == [("burst", (0, 1))]


# ---- What goes on for long ----


def frames(count: int, every: float, jitter: float = 0.0, has_fraction: bool = True) -> list[ScoreResult]:
    """A view from a tripod, again and again."""
    rng = np.random.default_rng(0)
    sketches = [make_sketch(shaken(scene("china.jpg"), seed, most=1)).pack() for seed in range(8)]
    times = np.cumsum(np.full(count, every) + rng.uniform(-jitter, jitter, count))
    first = taken(scene("china.jpg"), has_fraction=has_fraction)
    return [
        dataclasses.replace(
            said(first, time=START + (time if has_fraction else int(time))),
            image=f"{number}.jpg",
            sketch=sketches[number % 8],
        )
        for number, time in enumerate(times.tolist())
    ]


@pytest.mark.parametrize("has_fraction", [True, False])
@pytest.mark.parametrize("every", [2.0, 5.0, 29.0])
def test_an_afternoon_of_a_time_lapse_is_no_burst(every: float, has_fraction: bool) -> None:
    """Of which all but one would be rejected."""
    assert kinds(frames(120, every, has_fraction=has_fraction)) == []


def test_an_afternoon_at_one_view_is_many_bursts_of_bounded_length() -> None:
    results = frames(200, 12.0, jitter=9.0)
    stacks = find_stacks(results)
    assert len(stacks) > 10
    times = np.array([result.capture.time for result in results if result.capture])
    assert max(np.ptp(times[list(stack.members)]) for stack in stacks) <= bursts.LONGEST
    gaps = np.diff(times)
    cut = [stack.members[-1] for stack in stacks[:-1] if stack.members[-1] + 1 < 200]
    assert np.mean(gaps[cut]) > np.mean(gaps), "cut at the pauses"


def test_a_short_series_at_equal_intervals_is_a_burst() -> None:
    assert kinds(frames(10, 2.0)) == [("burst", tuple(range(10)))]


# ---- Photos without a time ----


def test_without_times_similarity_alone_decides() -> None:
    results = [*burst(count=3, time=None), taken(scene("coffee.png"), None, "c.jpg")]
    assert kinds(results) == [("burst", (0, 1, 2))]
    timed = [*burst(count=2), *burst(count=2, time=None)]
    timed = [dataclasses.replace(result, image=f"{at}.jpg") for at, result in enumerate(timed)]
    assert [members for _, members in kinds(timed[:2])] == [(0, 1)]


def test_a_camera_whose_clock_stands_still_has_no_times() -> None:
    """As after somebody has given all photos of a folder one date: no burst of hundreds, and no hours of comparing."""
    clock = burst(count=1)[0].capture
    pictures = [make_sketch(shaken(scene(name), seed)).pack() for name in NAMES for seed in range(2)]
    results = [
        ScoreResult(f"{at}.jpg", 3.0, capture=clock, sketch=pictures[at % len(pictures)], width=640, height=427)
        for at in range(shots.MAX_AT_ONCE + 20)
    ]
    listed = shots.list_shots(results)
    lines, timeless = shots.sort_by_time(listed)
    assert lines == [] and len(timeless) == len(results)


# ---- Exposure brackets ----


def bracket(stops: Sequence[float], *, by: str = "bias", follow: bool = True, **fields: Any) -> list[ScoreResult]:
    found = []
    for number, stop in enumerate(stops):
        pixels = shaken(exposed(scene("china.jpg"), stop) if follow else scene("china.jpg"), number)
        how = {"exposure_bias": float(stop)} if by == "bias" else {"exposure_time": 2.0**stop / 125}
        found.append(taken(pixels, number * 0.4, f"{number}.jpg", 3.0 + number / 10, **how | fields))
    return found


@pytest.mark.parametrize("by", ["bias", "exposure"])
@pytest.mark.parametrize("stops", [(0, -2, 2), (-1, 0, 1), (0, -0.7, 0.7), (-4, -2, 0, 2, 4)])
def test_a_bracket_is_kept_whole(stops: tuple[float, ...], by: str) -> None:
    every = tuple(range(len(stops)))
    assert find_stacks(bracket(stops, by=by)) == [Stack("exposure bracket", every, every)]


def test_two_exposures_are_a_bracket_if_somebody_says_so() -> None:
    assert kinds(bracket((0, 1))) == [("exposure bracket", (0, 1))]
    assert kinds(bracket((0, 1), by="exposure")) == [("burst", (0, 1))]
    assert kinds(bracket((0, 1), by="exposure", is_auto_bracket=True)) == [("exposure bracket", (0, 1))]


def test_brackets_after_each_other_are_several() -> None:
    assert kinds(bracket((0, -2, 2, 0, -2, 2))) == [("exposure bracket", (0, 1, 2)), ("exposure bracket", (3, 4, 5))]


def test_a_burst_in_which_one_was_corrected_is_a_burst() -> None:
    assert kinds(bracket((0, 0, 0, 0, -0.3, -0.3, -0.3))) == [("burst", (0, 1, 2, 3, 4, 5, 6))]


def test_light_that_changes_is_no_bracket() -> None:
    """The camera follows it, so that the pictures stay as bright as they were."""
    assert kinds(bracket((0, -1, 1), by="exposure", follow=False)) == [("burst", (0, 1, 2))]
    assert kinds(bracket((0, -0.3, 0.3), by="exposure")) == [("burst", (0, 1, 2))]


def test_iso_and_time_that_cancel_out_are_no_bracket() -> None:
    results = [
        taken(shaken(scene("china.jpg"), at), at * 1.0, f"{at}.jpg", iso=100.0 * 4**at, exposure_time=1 / 8 / 4**at)
        for at in range(3)
    ]
    assert kinds(results) == [("burst", (0, 1, 2))]


def test_the_black_and_white_ends_of_a_bracket_belong_to_it() -> None:
    """In which no scene can be seen; two black frames on their own are nothing."""
    stops = (-12, -9, -3, 0, 3, 12)
    assert kinds(bracket(stops, by="exposure")) == [("exposure bracket", tuple(range(6)))]
    assert kinds(bracket((-12, -9), by="exposure")) == []


# ---- Focus stacks ----


def focus_stack(name: str = "china.jpg", count: int = 6, seconds: float | None = 2.0) -> list[ScoreResult]:
    return [
        taken(pixels, None if seconds is None else number * seconds, f"{number}.jpg")
        for number, pixels in enumerate(focused(scene(name), count))
    ]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seconds", [2.0, None])
def test_sharpness_that_moves_through_the_picture_is_a_focus_stack(name: str, seconds: float | None) -> None:
    every = tuple(range(6))
    assert find_stacks(focus_stack(name, seconds=seconds)) == [Stack("focus stack", every, every)]


def test_three_shots_are_a_focus_stack_by_their_distances_alone() -> None:
    results = focus_stack(count=3)
    assert kinds(results) == [("burst", (0, 1, 2))]
    whole = [("focus stack", (0, 1, 2))]
    for distances, expected in (((1.0, 1.2, 1.5), whole), ((1.5, 1.2, 1.0), whole), ((1.0, 1.5, 1.2), kinds(results))):
        told = [said(result, focus_distance=far) for result, far in zip(results, distances, strict=True)]
        assert kinds(told) == expected


def test_a_child_that_runs_towards_the_camera_is_no_focus_stack() -> None:
    """Its distance falls from shot to shot, and nothing stays where it was."""
    nearer = [scene("chelsea.png")[20 * n : 420 - 20 * n, 30 * n : 640 - 30 * n] for n in range(4)]
    results = [
        taken(cv2.resize(pixels, (640, 420)), number * 0.2, f"{number}.jpg", focus_distance=9.0 - number)
        for number, pixels in enumerate(nearer)
    ]
    assert "focus stack" not in {kind for kind, _ in kinds(results)}


def test_what_passes_before_a_tripod_is_no_focus_stack() -> None:
    """It makes one part of the picture after the other sharper, but other than by focus."""
    thing = cv2.resize(scene("astronaut.png")[100:400, 100:500], (60, 200))
    results = []
    for number in range(6):
        pixels = cv2.GaussianBlur(scene("china.jpg"), (0, 0), 3)
        pixels[80:280, 20 + 108 * number : 80 + 108 * number] = thing
        results.append(taken(pixels, number * 0.5, f"{number}.jpg"))
    assert kinds(results) == [("burst", tuple(range(6)))]


def test_a_tripod_that_shakes_is_no_focus_stack() -> None:
    """All of the picture becomes blurred and sharp together."""
    sigmas = (3.0, 1.5, 0.3, 2.0, 4.0, 2.5, 1.0, 0.6)
    blurred = [cv2.GaussianBlur(scene("china.jpg"), (0, 0), sigma) for sigma in sigmas]
    results = [taken(pixels, at * 0.5, f"{at}.jpg") for at, pixels in enumerate(blurred)]
    assert kinds(results) == [("burst", tuple(range(8)))]


# ---- Panoramas ----


def panorama(count: int = 4, overlap: float = 0.4, every: float = 2.0, down: bool = False) -> list[ScoreResult]:
    wide = cv2.resize(scene("china.jpg"), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    wide = np.ascontiguousarray(np.rot90(wide, -1) if down else wide)
    return [
        taken(pixels, number * every, f"{number}.jpg")
        for number, pixels in enumerate(panned(wide, count, overlap, down=down))
    ]


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("overlap", [0.2, 0.4, 0.65])
def test_pictures_side_by_side_are_a_panorama(overlap: float, down: bool) -> None:
    every = tuple(range(4))
    stack = Stack("panorama", every, every)
    assert find_stacks(panorama(overlap=overlap, down=down)) == [stack]
    backwards = panorama(overlap=overlap, down=down)[::-1]
    again = [said(result, time=START + number * 2.0) for number, result in enumerate(backwards)]
    assert find_stacks(again) == [stack]


def test_what_is_no_panorama() -> None:
    assert kinds(panorama(2)) == [], "two pictures"
    assert kinds(panorama(every=shots.GAP + 2)) == [], "minutes apart"
    assert kinds(panorama(every=0.1)) == [], "ten a second, by who follows a bird"
    zoomed = [said(result, focal_length=35.0 + number) for number, result in enumerate(panorama())]
    assert kinds(zoomed) == []
    darker = [said(result, exposure_time=3.0**number / 500) for number, result in enumerate(panorama())]
    assert kinds(darker) == []
    first, second, _, _ = panorama()
    there_and_back = [said(result, time=START + at * 2.0) for at, result in enumerate((first, second, first, second))]
    assert "panorama" not in {kind for kind, _ in kinds(there_and_back)}


@pytest.mark.parametrize("step", [120, 250])
def test_a_camera_that_follows_something_makes_no_panorama(step: int) -> None:
    """What it follows stays where it is in the picture, while all else moves to one side."""
    thing = cv2.resize(scene("chelsea.png"), (190, 125))
    ground = cv2.resize(scene("china.jpg"), None, fx=2.2, fy=2.2, interpolation=cv2.INTER_CUBIC)[250:677]
    results = []
    for number in range(4):
        pixels = ground[:, step * number : step * number + 640].copy()
        pixels[140:265, 230:420] = thing
        results.append(taken(pixels, number * 1.0, f"{number}.jpg"))
    assert "panorama" not in {kind for kind, _ in kinds(results)}


def test_photos_of_a_walk_are_no_panorama() -> None:
    assert kinds([taken(scene(name), at * 4.0, name) for at, name in enumerate(demo.originals())]) == []


# ---- Copies ----


def enlarged(pixels: Rgb, factor: float) -> Rgb:
    return cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("seconds", [0.0, None])
@pytest.mark.parametrize("holds", [45.0, 69.0])
def test_the_enlarged_copy_is_never_the_best(holds: float, seconds: float | None) -> None:
    """Whatever its rank, whether its EXIF was kept, and though it seems to show a third more."""
    pixels = scene("china.jpg")
    results = [
        taken(enlarged(pixels, 2), seconds, "a enlarged.jpg", 4.0, holds=holds, width=1280, height=854),
        taken(pixels, 0.0, "b.jpg", 3.0, holds=100.0),
    ]
    assert find_stacks(results) == [Stack("copies", (0, 1), (1,))]


@pytest.mark.parametrize("factor", [0.5, 0.75, 0.95])
def test_the_cameras_own_file_is_kept_over_a_reduced_one(factor: float) -> None:
    """However well the smaller one scores, and though it holds where the camera's own is soft."""
    pixels = scene("china.jpg")
    small = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    own = taken(pixels, 0.0, "b.jpg", 3.0, holds=60.0, size=(640, 427))
    for said_of_size in ({"size": (640, 427)}, {"size": None}):  # EXIF kept, or lost
        assert find_stacks([taken(small, 0.0, "a.jpg", 4.0, holds=100.0, **said_of_size), own])[0].best == (1,)


def test_of_one_size_the_largest_file_is_kept(tmp_path: Any) -> None:
    """It was compressed least; a black and white copy, which may score higher, is smaller."""
    pixels = scene("china.jpg")
    names = [str(tmp_path / name) for name in ("a small.jpg", "b.jpg")]
    for name, count in zip(names, (100, 200), strict=True):
        Path(name).write_bytes(bytes(count))
    ranks = zip(names, (4.0, 3.0), strict=True)
    found = [taken(pixels, 0.0, name, rank, holds=100.0, size=(640, 427)) for name, rank in ranks]
    assert find_stacks(found)[0].best == (1,)


def test_the_reduced_copy_is_not_the_best_where_it_shows_less() -> None:
    pixels = scene("china.jpg")
    small = cv2.resize(pixels, (200, 133), interpolation=cv2.INTER_AREA)
    results = [taken(small, None, "a.jpg", 4.0, holds=100.0), taken(pixels, 0.0, "b.jpg", 3.0, holds=60.0)]
    assert find_stacks(results) == [Stack("copies", (0, 1), (1,))]


def test_without_detail_the_cameras_own_size_counts_and_then_rank() -> None:
    """By a model that does not look at 100 %."""
    pixels = scene("china.jpg")
    small = cv2.resize(pixels, (320, 213), interpolation=cv2.INTER_AREA)
    files = (enlarged(pixels, 2), pixels, small)
    told = [taken(file, 0.0, f"{at}.jpg", 4.0 - at / 10, size=(640, 427)) for at, file in enumerate(files)]
    sizes = [{"width": file.shape[1], "height": file.shape[0]} for file in files]
    told = [dataclasses.replace(result, **size) for result, size in zip(told, sizes, strict=True)]
    assert find_stacks(told)[0].best == (1,)
    assert find_stacks(told[::2])[0].best == (1,), "the small one: the other is larger than the camera made it"
    untold = [said(result, size=None) for result in told]
    assert find_stacks(untold)[0].best == (0,), "the first by rank"


@pytest.mark.parametrize("is_exact", [True, False])
def test_a_raw_and_its_jpeg_are_copies_and_the_raw_stays(is_exact: bool) -> None:
    """However differently they are developed."""
    pixels = scene("china.jpg")
    dull = np.uint8(np.clip(40 + 0.6 * pixels[2:-2, 2:-2], 0, 255))
    results = [
        taken(pixels, 0.0, "a/IMG_1.JPG", 4.0, holds=100.0, has_fraction=is_exact),
        taken(dull, 0.0, "b/img_1.NEF", 3.0, holds=60.0, is_raw=True, width=640, height=427, has_fraction=is_exact),
    ]
    assert find_stacks(results) == [Stack("copies", (0, 1), (1,))]


EDITS = {
    "brighter": lambda pixels: exposed(pixels, 0.7),
    "black and white": lambda pixels: np.repeat(pixels[..., 1:2], 3, -1),
    "darker": lambda pixels: np.uint8(255 * (pixels / 255) ** 1.5),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edited_photo_is_a_copy_by_its_moment(edit: Any) -> None:
    results = [taken(scene("coffee.png"), 0.0, "a.jpg"), taken(edit(scene("coffee.png")), 0.0, "a-edited.jpg")]
    assert [kind for kind, _ in kinds(results)] == ["copies"]


def test_a_photo_saved_again_without_exif_is_a_copy() -> None:
    saved = cv2.imdecode(cv2.imencode(".jpg", scene("coffee.png"), [1, 60])[1], cv2.IMREAD_COLOR)
    results = [*burst("coffee.png", 3), taken(scene("coffee.png"), 9.0, "d.jpg", 5.0), taken(saved, None, "e.jpg")]
    (stack,) = find_stacks(results)
    assert stack == Stack("burst", (0, 1, 2, 3, 4), stack.best) and len(stack.best) == 1


def test_a_copy_without_exif_may_be_the_best_of_a_burst() -> None:
    """The only file of its size; its exposure is of the burst by the others."""
    pictures = burst(count=3)
    larger = enlarged(shaken(scene("china.jpg"), 1), 2)
    results = [dataclasses.replace(result, holds=100.0) for result in pictures]
    results.append(taken(larger, None, "original.jpg", 5.0, holds=100.0))
    assert find_stacks(results) == [Stack("burst", (0, 1, 2, 3), (3,))]
    assert find_stacks([results[1], results[3]]) == [Stack("copies", (0, 1), (1,))]


def test_copies_of_a_bracket_are_kept_with_it() -> None:
    pictures = bracket((0, -2, 2))
    raws = [dataclasses.replace(said(result, is_raw=True), image=f"{at}.NEF") for at, result in enumerate(pictures)]
    every = tuple(range(6))
    assert find_stacks(pictures + raws) == [Stack("exposure bracket", every, every)]


def test_a_link_is_not_kept_in_place_of_its_file(tmp_path: Any) -> None:
    file, link = tmp_path / "b.jpg", tmp_path / "a.jpg"
    file.touch()
    link.symlink_to(file)
    results = [taken(scene("coffee.png"), 0.0, str(path)) for path in (link, file)]
    assert find_stacks(results) == [Stack("copies", (0, 1), (1,))]


def test_frames_from_a_tripod_without_fractions_are_no_copies() -> None:
    """Light flickers, and something moves."""
    flicker = [np.uint8(np.clip(scene("china.jpg") * (1 + 0.02 * number), 0, 255)) for number in range(3)]
    results = [taken(pixels, 0.0, f"{at}.jpg", has_fraction=False) for at, pixels in enumerate(flicker)]
    assert kinds(results) == [("burst", (0, 1, 2))]


# ---- Many, and words ----


@pytest.mark.slow
def test_twenty_thousand_photos_have_each_their_own_stack() -> None:
    """Bursts of five, a minute after each other, of eight scenes, by two cameras."""
    sketches = [[make_sketch(shaken(scene(name), seed)).pack() for seed in range(5)] for name in NAMES]
    clock = burst(count=1)[0].capture
    assert clock is not None
    results = []
    for number in range(20_000):
        group, shot = divmod(number, 5)
        capture = dataclasses.replace(clock, time=START + 60.0 * group + 0.25 * shot, serial=str(group % 2))
        results.append(
            ScoreResult(f"{number}.jpg", 3.0, capture=capture, sketch=sketches[group % 4][shot], width=640, height=427)
        )
    stacks = find_stacks(results)
    assert [stack.members for stack in stacks] == [tuple(range(at, at + 5)) for at in range(0, 20_000, 5)]


def test_the_order_of_the_results_makes_no_difference() -> None:
    results = burst(count=3)
    results += [said(result, time=START + 500.0 + at) for at, result in enumerate(focus_stack("coffee.png"))]
    results += [said(result, time=START + 900.0 + at / 3) for at, result in enumerate(bracket((0, -2, 2)))]
    results = [dataclasses.replace(result, image=f"{at}.jpg") for at, result in enumerate(results)]
    order = np.random.default_rng(0).permutation(len(results))
    mixed = find_stacks([results[at] for at in order])
    found = {(stack.kind, tuple(sorted(int(order[at]) for at in stack.members))) for stack in mixed}
    assert found == set(kinds(results))


def test_stacks_of_any_photos_hold_together(rng: np.random.Generator) -> None:
    """Whatever their files say, and however small, plain or long they are."""
    pictures = [shaken(scene(name), seed) for name in NAMES[:2] for seed in range(2)]
    pictures += [np.zeros((1, 1, 3), np.uint8), np.zeros((9, 400, 3), np.uint8), np.full((90, 90, 3), 255, np.uint8)]
    says: dict[str, list[Any]] = {
        "time": [None, 0.0, -1e11, 1e11, START, START + 1.0, START + 1.5], "has_fraction": [True, False],
        "zone": [None, 0.0, 3600.0], "serial": ["", "1", "2"], "exposure_bias": [None, 0.0, -2.0, 2.0],
        "exposure_time": [None, 1 / 60, 8.0, 1e5], "focus_distance": [None, 1.0, 2.0], "is_raw": [False, True],
        "size": [None, (1, 1), (640, 427)], "focal_length": [None, 35.0],
    }  # fmt: skip
    for _ in range(60):
        results = []
        for number in range(int(rng.integers(12))):
            chosen = {name: values[int(rng.integers(len(values)))] for name, values in says.items()}
            result = taken(pictures[int(rng.integers(len(pictures)))], 0.0, f"{number}.jpg", **chosen)
            nothing: dict[str, Any] = [{}, {}, {"capture": None}, {"sketch": None}, {"score": None}][rng.integers(5)]
            results.append(dataclasses.replace(result, **nothing))
        stacks = find_stacks(results)
        members = [member for stack in stacks for member in stack.members]
        assert len(set(members)) == len(members)
        assert all(results[member].score is not None for member in members)
        for stack in stacks:
            assert len(stack.members) > 1
            assert stack.best == stack.members if stack.kind in KEPT_WHOLE else len(stack.best) == 1
            assert set(stack.best) <= set(stack.members)


def test_stacks_in_words() -> None:
    stacks = [Stack("burst", (0, 1), (1,)), Stack("copies", (2, 3), (2,)), Stack("burst", (4, 5, 6), (4,))]
    stacks.append(Stack("panorama", (7, 8, 9), (7, 8, 9)))
    assert say_stacks(stacks) == "2 bursts, 1 of copies, 1 panorama; 4 photos are not the best of theirs"
    marked = mark_stacks([ScoreResult(str(at), 3.0) for at in range(11)], stacks)
    said = [say_stack(marked[at]) for at in (0, 1, 2, 8, 10)]
    assert said == ["in burst 1", "best of burst 1", "best of copies 2", "panorama 4", ""]
