"""Small releases of the public data sets, made up in exactly the real layout; pictures and scores are random.

Scores follow the pictures: noisier ones are worse, so that a model has something to learn.
"""

import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import openpyxl
import scipy.io

COUNT = 30


def _picture(path: Path, quality: float, rng: np.random.Generator, size: tuple[int, int] = (64, 48)) -> None:
    """A picture of smooth blobs with noise, the more of it the lower `quality` (0 to 1)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blobs = cv2.resize(rng.integers(60, 200, (4, 4, 3)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    noisy = blobs + (1 - quality) * 60 * rng.standard_normal((size[1], size[0], 3))
    cv2.imwrite(str(path), np.clip(noisy, 0, 255).astype(np.uint8))


def _scores(low: float, high: float, count: int = COUNT) -> tuple[np.ndarray, np.ndarray]:
    quality = np.random.default_rng(7).permutation(np.linspace(0.02, 0.98, count))
    return low + quality * (high - low), quality


def _csv(path: Path, rows: list[list[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def _excel(path: Path, sheet: str, rows: list[list[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    book.active.title = sheet  # type: ignore[union-attr]
    for row in rows:
        book.active.append(row)  # type: ignore[union-attr]
    book.save(path)


def koniq10k(folder: Path, count: int = COUNT) -> dict[str, float]:
    """Both official tables; the photos one level deeper, as the archive unpacks."""
    rng = np.random.default_rng(0)
    mos, quality = _scores(1.096, 4.31, count)
    names = [f"{rng.integers(10**7, 10**10)}.jpg" for _ in range(count)]
    scores: list[list[object]] = [["image_name", "c1", "c2", "c3", "c4", "c5", "c_total", "MOS", "SD", "MOS_zscore"]]
    sets: list[list[object]] = [["image_name", "c1", "c2", "c3", "c4", "c5", "c_total", "MOS", "SD", "set"]]
    for index, (name, score, good) in enumerate(zip(names, mos, quality, strict=True)):
        _picture(folder / "koniq10k_1024x768" / "1024x768" / name, good, rng)
        # Two neighbouring answers whose mean is the score.
        answers = [0.0] * 5
        answers[int(score) - 1], answers[int(score)] = 1 - score % 1, score % 1
        zscore = 3.91 + (score - 1.096) / 3.214 * 84.48
        scores.append([name, *(round(100 * share) for share in answers), 100, score, 0.6, zscore])
        sets.append([name, *answers, 100, zscore, 0.6, ("training", "training", "validation", "test")[index % 4]])
    _csv(folder / "koniq10k_scores_and_distributions.csv", scores)
    _csv(folder / "koniq10k_distributions_sets.csv", sets)
    return dict(zip(names, mos.tolist(), strict=True))


def spaq(folder: Path, count: int = COUNT) -> dict[str, float]:
    rng = np.random.default_rng(0)
    mos, quality = _scores(2, 96, count)
    names = [f"{index + 1:05d}.jpg" for index in range(count)]
    attributes = ["Brightness", "Colorfulness", "Contrast", "Noisiness", "Sharpness"]
    rows: list[list[object]] = [["Image name", "MOS", *attributes]]
    for name, score, good in zip(names, mos, quality, strict=True):
        _picture(folder / "TestImage" / name, good, rng)
        rows.append([name, score, *[50] * 5])
    _excel(folder / "Annotations" / "MOS and Image attribute scores.xlsx", "Sheet1", rows)
    return dict(zip(names, mos.tolist(), strict=True))


def livew(folder: Path, count: int = COUNT) -> dict[str, float]:
    """The 7 practice photos first, the others in an order that is neither numeric nor sorted."""
    rng = np.random.default_rng(0)
    mos, quality = _scores(3.42, 92.432, count + 7)
    names = [f"t{index}.bmp" for index in range(1, 8)]
    names += [f"{number}.{'bmp' if number < 110 else 'JPG'}" for number in [100 + 7 * i % count for i in range(count)]]
    for name, good in zip(names, quality, strict=True):
        _picture(folder / "Images" / ("trainingImages" if name.startswith("t") else "") / name, good, rng)
    cells = np.empty((len(names), 1), object)
    cells[:, 0] = names
    (folder / "Data").mkdir(parents=True)
    scipy.io.savemat(folder / "Data" / "AllImages_release.mat", {"AllImages_release": cells})
    scipy.io.savemat(folder / "Data" / "AllMOS_release.mat", {"AllMOS_release": mos.reshape(1, -1)})
    placed = [f"trainingImages/{name}" if name.startswith("t") else name for name in names]
    return dict(zip(placed, mos.tolist(), strict=True))


def rbid(folder: Path, count: int = COUNT) -> dict[str, float]:
    rng = np.random.default_rng(0)
    mos, quality = _scores(0.1638, 4.9198, count)
    numbers = [number for number in range(1, count + 2) if number != 2]  # as in the release, one number is missing
    names = [f"DatabaseImage{number:04d}.JPG" for number in numbers]
    rows: list[list[object]] = [["Image Number", "Average Subjective Grade", "Number of Grades", "Grade #1"]]
    for number, name, score, good in zip(numbers, names, mos, quality, strict=True):
        _picture(folder / "ImageDatabase" / "ImageDatabase" / name, good, rng)
        rows.append([number, score, 11, score])
    _excel(folder / "DatabaseGrades.xlsx", "Plan1", rows)
    return dict(zip(names, mos.tolist(), strict=True))


def cid2013(folder: Path, count: int = COUNT) -> dict[str, float]:
    """Five photos of each scene; a title above the table's header."""
    rng = np.random.default_rng(0)
    mos, quality = _scores(-9.5491, 87.8821, count)
    romans = ("I", "II", "III", "IV", "V", "VI")
    names, rows = [], [["CID2013 subjective data"], ["Source_ID", "Image set specific  MOS", "Realigned MOS"]]
    for index, (score, good) in enumerate(zip(mos, quality, strict=True)):
        number, scene = index % 6, index // 5 % 6 + 1
        source = f"IS_{romans[number]}_C{scene:02d}_D{index:02d}"
        names.append(f"IS{number + 1}/co{scene}/{source}.jpg")
        _picture(folder / names[-1], good, rng)
        rows.append([source, 50.0, score])  # type: ignore[list-item]
    _excel(folder / "CID2013 data - version 12112014.xlsx", "CID2013 MOS", rows)  # type: ignore[arg-type]
    return dict(zip(names, mos.tolist(), strict=True))


def biq2021(folder: Path, count: int = COUNT) -> dict[str, float]:
    rng = np.random.default_rng(0)
    mos, quality = _scores(0, 1, count)
    names = [f"ss0{index % 3 + 1} ({index + 10}).jpg" for index in range(count)]
    tested = count // 6
    for name, good in zip(names, quality, strict=True):
        _picture(folder / "Images" / name, good, rng)
    for part, rows in (("Train", slice(tested, None)), ("Test", slice(None, tested))):
        lines = [[name, f"{score:.4f}", "", ""] for name, score in zip(names[rows], mos[rows], strict=True)]
        _csv(folder / f"{part} (Images and MOS).csv", [["Image Name", "MOS", "", ""], *lines])
    return dict(zip(names, mos.tolist(), strict=True))


MAKERS: dict[str, Callable[..., dict[str, float]]] = {
    "koniq10k": koniq10k, "spaq": spaq, "livew": livew, "rbid": rbid, "cid2013": cid2013, "biq2021": biq2021,
}  # fmt: skip
"""Each makes a release in a folder and returns the MOS of each photo."""
