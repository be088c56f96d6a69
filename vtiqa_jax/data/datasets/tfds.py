"""The data sets as tensorflow-datasets builders over a manual download; TensorFlow itself is not needed.

    import tensorflow_datasets as tfds
    import vtiqa_jax.data.datasets.tfds

    builder = tfds.builder("koniq10k", data_dir="tfds", file_format="array_record")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir="path/to/koniq10k"))

`vtiqa train dataset koniq10k --release tfds --from tfds` trains on what was prepared so. `array_record` is the one file
format that TFDS both writes and reads whole without TensorFlow. Photos are stored as the bytes of their files. `mos`
is on the data set's own scale, `mos_common` on the one from 1 to 5. The splits are the official ones where the data set
has them, otherwise one, `full`; practice photos are left out. `row` is the photo's place in the release's table: random
splits are drawn from that order, and so are the same by either way. Of a part of a release
`vtiqa_jax.data.datasets.tfds.BUILDERS["koniq10k"].partial = True` makes a set.
"""

import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vtiqa_jax.data import datasets
from vtiqa_jax.data.datasets.info import Dataset, DatasetInfo
from vtiqa_jax.data.manifest import ImageFolder, Manifest
from vtiqa_jax.errors import UserError

try:
    import tensorflow_datasets as tfds
    from google.protobuf import json_format
except ImportError as error:
    raise UserError('tensorflow-datasets needs the extra "data": pip install "vtiqa-jax[data]"') from error


class _Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """What all builders have in common."""

    VERSION = tfds.core.Version("1.1.0")
    INFO: DatasetInfo
    partial = False
    """Accept a part of the release, see `datasets.read`."""

    def _info(self) -> tfds.core.DatasetInfo:
        info = self.INFO
        features = {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
            "name": tfds.features.Text(),
            "row": tfds.features.Scalar(np.int32),
            "mos": tfds.features.Scalar(np.float32),
            "mos_common": tfds.features.Scalar(np.float32),
            "scene": tfds.features.Text(),
            "group": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{info.title}: {info.count} photos, MOS {info.low:g} to {info.high:g},"
            f" {'higher' if info.slope > 0 else 'lower'} is better. Terms: {info.terms}.",
            homepage=f"https://{info.homepage}",
            citation=info.citation,
            features=tfds.features.FeaturesDict(features),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        dataset = datasets.read(self.INFO.name, Path(dl_manager.manual_dir), partial=self.partial).without_practice()
        parts = np.array(dataset.official or ("full",) * len(dataset.photos.names))
        return {str(part): self._generate_examples(dataset, np.flatnonzero(parts == part)) for part in np.unique(parts)}

    def _generate_examples(self, dataset: Dataset, rows: np.ndarray) -> Iterator[tuple[str, dict[str, Any]]]:
        photos, common = dataset.photos, dataset.on_common_scale().mos
        assert isinstance(photos.images, ImageFolder)
        for row in rows:
            name = photos.names[row]
            yield (
                name,
                {
                    "image": photos.images.path(name),
                    "name": name,
                    "row": row,
                    "mos": photos.mos[row],
                    "mos_common": common[row],
                    "scene": photos.scenes[row] if photos.scenes else "",
                    "group": photos.groups[row] if photos.groups else "",
                },
            )


def _make_builder(info: DatasetInfo) -> type[_Builder]:
    instructions = f"Download {info.title} from {info.homepage} and unpack it into manual_dir: {info.layout}"
    members = {"__doc__": f"{info.title}.", "__module__": __name__, "INFO": info}
    return type(info.name.capitalize(), (_Builder,), members | {"MANUAL_DOWNLOAD_INSTRUCTIONS": instructions})


BUILDERS = {name: _make_builder(module.INFO) for name, module in datasets.READERS.items()}
"""A registered builder for each data set."""


@dataclasses.dataclass(frozen=True)
class TfdsImages:
    """The photos of a prepared TFDS data set, by name; see `manifest.ImageSource`."""

    folder: Path
    sources: dict[str, Any]
    """The random-access source of each split."""
    places: dict[str, tuple[str, int]]
    """The split of each photo, and its index there."""
    digest: str
    """Changes when the files of the data set change."""

    def read(self, name: str) -> bytes:
        """See `ImageSource`."""
        split, index = self.places[name]
        return self.sources[split][index]["image"]

    def version(self, name: str) -> str:
        """See `ImageSource`."""
        return self.digest

    def stamp(self, name: str) -> str:
        """See `ImageSource`."""
        return self.digest

    def __str__(self) -> str:
        return str(self.folder.resolve())


_NOT_FOUND = tfds.core.registered.DatasetNotFoundError  # pyright: ignore[reportAttributeAccessIssue]
_DAMAGED = (OSError, ValueError, RuntimeError, json_format.Error, _NOT_FOUND)
"""Exceptions that opening and reading a prepared data set raises when it is not there or not whole."""


def _read_rows(sources: dict[str, Any]) -> list[tuple[str, int, dict[str, Any]]]:
    """Returns the split, the index there and the features but the photo of every example.

    Raises:
        ValueError: an example is damaged or has other features.
    """
    rows = []
    for split, source in sources.items():
        for index in range(len(source)):
            example = source[index]
            if any(example.get(feature) is None for feature in ("image", "name", "row", "mos", "scene", "group")):
                raise ValueError(f"example {index} of {split} is damaged, or was not written by this builder")
            texts = {feature: example[feature].decode() for feature in ("name", "scene", "group")}
            rows.append((split, index, {"row": int(example["row"]), "mos": example["mos"], **texts}))
    return rows


def read_prepared(name: str, data_dir: Path) -> Dataset:
    """Returns a data set that its builder prepared below `data_dir`.

    Practice photos are not in it; the order is that of the data set's table.

    Raises:
        UserError: it is not there, is not whole, or is not one that these builders made.
    """
    info = datasets.dataset_info(name)
    try:
        builder: Any = tfds.builder(name, data_dir=data_dir, file_format="array_record")
        folder = Path(builder.data_dir)
        if not builder.info.splits:
            raise FileNotFoundError(f"no {folder}")
        skip = {"image": tfds.decode.SkipDecoding()}
        sources = {split: builder.as_data_source(split, decoders=skip) for split in builder.info.splits}
        rows = _read_rows(sources)
    except _DAMAGED as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{data_dir} holds no prepared {info.title} ({reason}); the head of vtiqa_jax/data/datasets/tfds.py says"
            " how to prepare one"
        ) from error
    rows.sort(key=lambda row: row[2]["row"])
    places = {example["name"]: (split, index) for split, index, example in rows}
    columns = {column: tuple(example[column] for _, _, example in rows) for column in ("mos", "scene", "group")}
    files = sorted(path for path in folder.iterdir() if path.is_file())
    stamps = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    digest = hashlib.sha256(repr(stamps).encode()).hexdigest()
    photos = Manifest(
        tuple(places),
        np.array(columns["mos"], np.float32),
        TfdsImages(folder, sources, places, digest),
        groups=columns["group"] if any(columns["group"]) else (),
        scenes=columns["scene"] if any(columns["scene"]) else (),
    )
    official = () if "full" in sources else tuple(split for split, _, _ in rows)
    return Dataset(info, photos, official, (), photos.names, len(places) == info.count)
