"""Features of marked photos, kept on disk: encoding takes the time, and a second fit takes seconds."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float32
from tqdm import tqdm

from vtiqa_jax.choosing import fingerprints
from vtiqa_jax.choosing.fingerprints import Fingerprint, fingerprint
from vtiqa_jax.errors import ImageError
from vtiqa_jax.gallery import looks
from vtiqa_jax.gallery.looks import measure_looks
from vtiqa_jax.gallery.preview import THUMBNAIL_SIDE
from vtiqa_jax.heads.kept import keep, read_kept, without_heads
from vtiqa_jax.models.adapt import without_detail
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.fingerprint import identify
from vtiqa_jax.photos import decode, sketch
from vtiqa_jax.photos.resize import Rgb, make_thumbnail
from vtiqa_jax.photos.sketch import make_sketch
from vtiqa_jax.scoring.steps import CPU_BATCH
from vtiqa_jax.training.novelty import read_features

_CODE = hashlib.sha256(
    b"".join(Path(str(part.__file__)).read_bytes() for part in (fingerprints, sketch, looks))
).hexdigest()
"""Hash of the code that measures: other code measures other numbers."""


@dataclasses.dataclass(frozen=True)
class SeenPhoto:
    """What is seen of a photo."""

    features: Float32[np.ndarray, " both"]
    """Features of both views, as the head sees them."""
    fingerprint: Fingerprint
    """Finds shots of one scene."""
    looks: Float32[np.ndarray, " looks"]
    """See `gallery.looks`."""


class KeptPhotos:
    """A folder with a file for each photo; a command that is stopped goes on where it was."""

    def __init__(self, folder: Path, model: Checkpoint) -> None:
        """Opens the folder.

        Args:
            folder: made when the first photo is seen.
            model: a VT-IQA; what another backbone sees is kept apart.
        """
        bare = without_detail(model)
        backbone = {name: array for name, array in bare.params.items() if name.startswith("backbone.")}
        seeing = Checkpoint(without_heads(bare.config), backbone, None, {})
        self._key = hashlib.sha256(f"tune {identify(seeing, 'float32')} {_CODE}".encode()).hexdigest()
        # Heads are kept only because a VT-IQA has one; on the device once, and not for each photo.
        config = seeing.config
        used = {name: array for name, array in bare.params.items() if name.startswith(("backbone.", "head."))}
        self._model = Checkpoint(config, jax.device_put(used, jax.local_devices()[0]), None, {})
        self._folder = folder

    def read(self, photos: Sequence[Path]) -> tuple[dict[Path, SeenPhoto], list[str]]:
        """Reads what is seen of photos; looks at those that were not looked at before, a few at a time.

        Returns:
            What is seen of each photo that can be read, and a line for each other one.

        Raises:
            OSError: the disk takes no more.
        """
        seen: dict[Path, SeenPhoto] = {}
        left_out: list[str] = []
        waiting: dict[Path, tuple[Path, Rgb]] = {}
        bar = tqdm(photos, "marked photos", unit="photo", disable=None, leave=False)
        for number, photo in enumerate(bar, start=1):
            try:
                file = self._file(photo)
                kept = read_kept(file, SeenPhoto)
                if kept is None:
                    waiting[photo] = file, decode.open_photo(photo).pixels
                else:
                    seen[photo] = kept
            except ImageError as error:
                left_out.append(f"{photo}: {error}")
            if len(waiting) == CPU_BATCH or number == len(photos):
                seen |= self._look(waiting)
                waiting = {}
        return seen, left_out

    def _file(self, photo: Path) -> Path:
        """Returns the path of a photo's file. Errors: ImageError when the photo cannot be read."""
        try:
            data = photo.read_bytes()
        except OSError as error:
            raise ImageError(error.strerror or str(error)) from error
        # The ending may say how the content is to be read.
        digest = hashlib.sha256(data + f"{self._key} {photo.suffix.lower()}".encode()).hexdigest()[:24]
        return self._folder / f"{digest}.npz"

    def _look(self, photos: Mapping[Path, tuple[Path, Rgb]]) -> dict[Path, SeenPhoto]:
        """Looks at photos, given where each is to be kept and its pixels."""
        features = read_features(self._model, (pixels for _, pixels in photos.values()))
        seen = {}
        for (photo, (file, pixels)), row in zip(photos.items(), features, strict=True):
            thumbnail = make_thumbnail(pixels, THUMBNAIL_SIDE)
            seen[photo] = SeenPhoto(row, fingerprint(make_sketch(thumbnail).grey), measure_looks(thumbnail))
            keep(file, seen[photo])
        return seen
