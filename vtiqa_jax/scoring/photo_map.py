"""The common part of all maps of a photo: they are drawn over it."""

import abc
import dataclasses
from typing import TYPE_CHECKING

from vtiqa_jax.photos.resize import Rgb

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclasses.dataclass(frozen=True, repr=False)
class PhotoMap(abc.ABC):
    """Numbers of a photo's parts."""

    photo: Rgb | None = dataclasses.field(default=None, kw_only=True)
    """Photo that `draw` draws the map on."""

    @abc.abstractmethod
    def paint(self, axes: "Axes") -> None:
        """Draws the photo under the map on a part of a picture, with the map's scale beside it."""

    def draw(self, title: str = "") -> bytes:
        """Returns a PNG: the photo beside itself under the map.

        Raises:
            ValueError: the map does not have its photo.
        """
        from vtiqa_jax.scoring.map_pictures import draw_maps  # scoring does not wait for matplotlib

        return draw_maps(self.photo, [self.paint], title)

    def _repr_png_(self) -> bytes | None:
        """Returns what a notebook shows."""
        return None if self.photo is None else self.draw()
