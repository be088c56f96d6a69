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


def flive(folder: Path, count: int = COUNT) -> dict[str, float]:
    """Photos of three sources; the table of test photos beside the one of all."""
    rng = np.random.default_rng(0)
    mos, quality = _scores(0, 94.33, count)
    places = ("voc_emotic_ava/AVA__{}.jpg", "voc_emotic_ava/EMOTIC__{}.jpg", "blur_dataset/motion{:04d}.jpg")
    names = [places[index % 3].format(index + 1) for index in range(count)]
    for name, good in zip(names, quality, strict=True):
        _picture(folder / "database" / name, good, rng)
    _csv(folder / "database" / "labels_image.csv", [["name", "mos"], *zip(names, mos, strict=True)])  # type: ignore[list-item]
    _csv(folder / "database" / "labels640.csv", [["mos_image", "name_image"], *([60.0, name] for name in names[::5])])
    others = [[50.0, name, index % 4 == 1] for index, name in enumerate(names) if index % 5]
    _csv(folder / "database" / "labels=640_padded.csv", [["mos_image", "name_image", "is_valid"], *others])
    return dict(zip(names, mos.tolist(), strict=True))


def uhdiqa(folder: Path, count: int = COUNT) -> dict[str, float]:
    rng = np.random.default_rng(0)
    mos, quality = _scores(0.2865, 0.889, count)
    parts = [("training", "training", "validation", "test")[index % 4] for index in range(count)]
    names = [f"{part}/{index + 1}.jpg" for index, part in enumerate(parts)]
    for name, good in zip(names, quality, strict=True):
        _picture(folder / name, good, rng)
    lines = [[Path(name).name, score, part, ""] for name, score, part in zip(names, mos, parts, strict=True)]
    _csv(folder / "uhd-iqa-metadata.csv", [["image_name", "quality_mos", "set", "subset"], *lines])
    return dict(zip(names, mos.tolist(), strict=True))


def _levels(low: float, high: float, references: int, kinds: int, levels: int) -> list[tuple[int, int, int, float]]:
    """Reference, distortion, level and quality of distorted pictures: of each reference the mildest are the best."""
    rng = np.random.default_rng(7)
    rows = np.array(
        [(r, k, v) for r in range(1, references + 1) for k in range(1, kinds + 1) for v in range(1, levels + 1)]
    )
    order = np.argsort(np.argsort(-rows[:, 2] + 0.5 * rng.random(len(rows))))
    quality = low + (high - low) * order / (len(rows) - 1)
    return [(int(r), int(k), int(v), float(good)) for (r, k, v), good in zip(rows, quality, strict=True)]


def kadid10k(folder: Path, count: int = COUNT) -> dict[str, float]:
    """Two distortions at three levels; the references lie among the distorted pictures."""
    rng = np.random.default_rng(0)
    scores, lines = {}, []
    for reference, kind, level, good in _levels(0.0, 1.0, count // 6, 2, 3):
        name = f"I{reference:02d}_{kind:02d}_{level:02d}.png"
        scores[name] = round(1 + 3.93 * good, 4)
        _picture(folder / "images" / name, good, rng)
        _picture(folder / "images" / f"I{reference:02d}.png", 1.0, rng)
        lines.append([name, f"I{reference:02d}.png", scores[name], 0.5])
    _csv(folder / "dmos.csv", [["dist_img", "ref_img", "dmos", "var"], *lines])
    return scores


def tid2013(folder: Path, count: int = COUNT) -> dict[str, float]:
    """Two distortions at three levels; as in the release some names begin with a capital letter."""
    rng = np.random.default_rng(0)
    scores = {}
    for reference, kind, level, good in _levels(0.0, 1.0, count // 6, 2, 3):
        name = f"{'I' if reference % 2 else 'i'}{reference:02d}_{kind:02d}_{level}.bmp"
        scores[name] = round(0.24242 + 6.97 * good, 4)
        _picture(folder / "distorted_images" / name, good, rng)
    _picture(folder / "reference_images" / "I01.BMP", 1.0, rng)
    (folder / "mos_with_names.txt").write_text("".join(f"{score} {name}\n" for name, score in scores.items()))
    return scores


def csiq(folder: Path, count: int = COUNT) -> dict[str, float]:
    """Two distortions at three levels, lower scores better; one reference's name is a number."""
    rng = np.random.default_rng(0)
    scores, rows = {}, [["CSIQ"], ["", "", "", "image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos"]]
    kinds = {1: ("noise", "awgn", "AWGN"), 2: ("jpeg 2000", "jpeg2000", "jpeg2000")}
    for reference, kind, level, good in _levels(0.0, 1.0, count // 6, 2, 3):
        scene: str | int = 1600 if reference == 1 else f"reference_{reference}"
        told, place, spelled = kinds[kind]
        name = f"{place}/{scene}.{spelled}.{level}.png"
        scores[name] = round(1 - good, 6)
        _picture(folder / "dst_imgs" / name, good, rng)
        rows.append(["", "", "", scene, kind, told, level, 0.1, scores[name]])  # type: ignore[list-item]
    _picture(folder / "src_imgs" / "1600.png", 1.0, rng)
    _excel(folder / "csiq.DMOS.xlsx", "all_by_image", rows)  # type: ignore[arg-type]
    return scores


def agiqa3k(folder: Path, count: int = COUNT) -> dict[str, float]:
    """Three generators by turns, one prompt for each three pictures."""
    rng = np.random.default_rng(0)
    mos, quality = _scores(0, 4.4887, count)
    generators = ("AttnGAN_normal", "glide_lowcorr", "sd1.5_highcorr")
    names = [f"{generators[index % 3]}_{index // 3:03d}.jpg" for index in range(count)]
    for name, good in zip(names, quality, strict=True):
        _picture(folder / "AGIQA-3K" / name, good, rng)
    head = ["name", "prompt", "adj1", "adj2", "style", "mos_quality", "std_quality", "mos_align", "std_align"]
    lines = [
        [name, f"a house, {index // 3} floors high", "", "", "", score, 0.5, 1.0, 0.5]
        for index, (name, score) in enumerate(zip(names, mos, strict=True))
    ]
    _csv(folder / "data.csv", [head, *lines])
    return dict(zip(names, mos.tolist(), strict=True))


MAKERS: dict[str, Callable[..., dict[str, float]]] = {
    "koniq10k": koniq10k, "spaq": spaq, "livew": livew, "rbid": rbid, "cid2013": cid2013, "biq2021": biq2021,
    "flive": flive, "uhdiqa": uhdiqa, "kadid10k": kadid10k, "tid2013": tid2013, "csiq": csiq, "agiqa3k": agiqa3k,
}  # fmt: skip
"""Each makes a release in a folder and returns the score of each photo."""
