"""The data sets as tensorflow-datasets builders over a manual download; TensorFlow itself is not needed.

    import tensorflow_datasets as tfds
    import vtiqa_jax.releases.builders

    builder = tfds.builder("koniq10k", data_dir="tfds", file_format="array_record")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir="path/to/koniq10k"))
    source = builder.as_data_source("train")

`array_record` is the one file format that TFDS both writes and reads whole without TensorFlow. Photos are stored as
the bytes of their files. `mos` is on the release's own scale, `mos_common` on the one from 1 to 5. The splits are the
official ones where the data set has them, otherwise one, `full`; photos set aside by the release are left out.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vtiqa_jax import releases
from vtiqa_jax.errors import UserError

try:
    import tensorflow_datasets as tfds
except ImportError as error:
    raise UserError('the builders need the extra "data": pip install "vtiqa-jax[data]"') from error


class _Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """What the six have in common."""

    VERSION = tfds.core.Version("1.0.0")
    DATASET: releases.Name
    partial = False
    """Accept a part of the release, see `releases.read`."""

    def _info(self) -> tfds.core.DatasetInfo:
        card = releases.card(self.DATASET)
        features = {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
            "name": tfds.features.Text(),
            "mos": tfds.features.Scalar(np.float32),
            "mos_common": tfds.features.Scalar(np.float32),
            "scene": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{card.title}: {card.count} photos, MOS {card.low:g} to {card.high:g}, higher is better."
            f" Terms: {card.terms}.",
            homepage=f"https://{card.homepage}",
            citation=card.citation,
            features=tfds.features.FeaturesDict(features),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        release = releases.read(self.DATASET, Path(dl_manager.manual_dir), partial=self.partial).proper()
        parts = np.array(release.official or ("full",) * len(release.photos.names))
        return {str(part): self._generate_examples(release, np.flatnonzero(parts == part)) for part in np.unique(parts)}

    def _generate_examples(self, release: releases.Release, rows: np.ndarray) -> Iterator[tuple[str, dict[str, Any]]]:
        photos, common = release.photos, release.common().mos
        for row in rows:
            name = photos.names[row]
            yield (
                name,
                {
                    "image": photos.images / name,
                    "name": name,
                    "mos": photos.mos[row],
                    "mos_common": common[row],
                    "scene": photos.scenes[row] if photos.scenes else "",
                },
            )


def _instructions(name: releases.Name) -> str:
    card = releases.card(name)
    return f"Download {card.title} from {card.homepage} and unpack it into manual_dir: {card.layout}"


class Koniq10k(_Builder):
    """KonIQ-10k."""

    DATASET = "koniq10k"
    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions("koniq10k")


class Spaq(_Builder):
    """SPAQ."""

    DATASET = "spaq"
    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions("spaq")


class Livew(_Builder):
    """LIVE in the Wild."""

    DATASET = "livew"
    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions("livew")


class Rbid(_Builder):
    """RBID."""

    DATASET = "rbid"
    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions("rbid")


class Cid2013(_Builder):
    """CID2013."""

    DATASET = "cid2013"
    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions("cid2013")


class Biq2021(_Builder):
    """BIQ2021."""

    DATASET = "biq2021"
    MANUAL_DOWNLOAD_INSTRUCTIONS = _instructions("biq2021")
