"""Photos made worse, as cameras, programs and networks make them worse; the order of the levels is all that is known.

Every distortion takes a photo (uint8 RGB), a level from 0 (just visible) to 1 (gross) and a generator, and returns a
photo of the same size. Sizes in pixels are meant for photos of some 500 px.
"""

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from vtiqa_jax.data import images
from vtiqa_jax.data.light import from_light, round_values, to_light
from vtiqa_jax.photos.resize import resize_area, resize_bicubic, resize_nearest

Photo = UInt8[np.ndarray, "height width 3"]
Light = Float[np.ndarray, "height width 3"]
Distortion = Callable[[Photo, float, np.random.Generator], Photo]


def _between(low: float, high: float, level: float) -> float:
    """Interpolates from `low` at level 0 to `high` at level 1, by equal factors."""
    return low * (high / low) ** level


def _spread(photo: Photo, kernel: Float[np.ndarray, "rows cols"]) -> Photo:
    """Spreads light over the shape of a kernel."""
    return from_light(cv2.filter2D(to_light(photo), -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT))


def _shrunk(photo: Photo, factor: float) -> UInt8[np.ndarray, "rows cols 3"]:
    """Shrinks each side `factor` times, to at least one pixel."""
    height, width, _ = photo.shape
    size = max(1, round(height / factor)), max(1, round(width / factor))
    return resize_area(photo, size)


# ---- sharpness ----


def defocus(photo: Photo, level: float, _: np.random.Generator) -> Photo:
    """Spreads light over a disc of up to 7 px radius."""
    radius = _between(0.6, 7.0, level)
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return _spread(photo, disc)


def motion(photo: Photo, level: float, rng: np.random.Generator) -> Photo:
    """Smears light along a line of up to 31 px in a random direction."""
    length = _between(2.0, 31.0, level)
    angle, reach = rng.uniform(0, np.pi), int(np.ceil(length / 2))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    line = (np.clip(length / 2 + 0.5 - np.abs(along), 0, 1) * np.clip(1 - np.abs(across), 0, 1)).astype(np.float32)
    return _spread(photo, line)


def enlarged(photo: Photo, level: float, _: np.random.Generator) -> Photo:
    """Shrinks up to 10 times and enlarges again."""
    return resize_bicubic(_shrunk(photo, _between(1.6, 10.0, level)), photo.shape[:2])


def pixelated(photo: Photo, level: float, _: np.random.Generator) -> Photo:
    """Squares of one colour, of up to 14 px."""
    return resize_nearest(_shrunk(photo, _between(2.0, 14.0, level)), photo.shape[:2])


def sharpened(photo: Photo, level: float, _: np.random.Generator) -> Photo:
    """Sharpens too much: halos around every edge."""
    soft = cv2.GaussianBlur(photo, (0, 0), 1.5 + level)
    amount = np.float32(_between(2.0, 12.0, level))
    return round_values(photo + amount * (photo.astype(np.float32) - soft))


# ---- noise ----


def noise(photo: Photo, level: float, rng: np.random.Generator) -> Photo:
    """Adds a sensor's shot noise and read noise, up to a very dark scene's."""
    strength = _between(0.02, 0.35, level)
    light = to_light(photo)
    spread = strength * np.sqrt(0.3 * light + 0.02).astype(np.float32)
    return from_light(light + spread * rng.standard_normal(light.shape, np.float32))


def white_noise(photo: Photo, level: float, rng: np.random.Generator) -> Photo:
    """Adds Gaussian noise to every pixel, of up to 90 grey levels."""
    return round_values(photo + np.float32(_between(8.0, 90.0, level)) * rng.standard_normal(photo.shape, np.float32))


def grain(photo: Photo, level: float, rng: np.random.Generator) -> Photo:
    """Adds grey noise whose grains are larger than a pixel, of up to 60 grey levels."""
    height, width, _ = photo.shape
    grains = cv2.GaussianBlur(rng.standard_normal((height, width), np.float32), (0, 0), rng.uniform(0.7, 2))
    return round_values(photo + np.float32(_between(6.0, 60.0, level)) * (grains / grains.std())[:, :, None])


def chroma_noise(photo: Photo, level: float, rng: np.random.Generator) -> Photo:
    """Adds coloured blotches of up to 60 levels and leaves the brightness alone."""
    height, width, _ = photo.shape
    blotches = cv2.GaussianBlur(rng.standard_normal((height, width, 3), np.float32), (0, 0), rng.uniform(0.5, 3))
    blotches -= blotches.mean(axis=2, keepdims=True)
    return round_values(photo + np.float32(_between(8.0, 60.0, level)) * blotches / blotches.std())


def salt_and_pepper(photo: Photo, level: float, rng: np.random.Generator) -> Photo:
    """Makes up to a third of the pixels black or white."""
    share, drawn = _between(0.005, 0.35, level), rng.random(photo.shape[:2])
    changed = photo.copy()
    changed[drawn < share / 2] = 0
    changed[drawn > 1 - share / 2] = 255
    return changed


def row_noise(photo: Photo, level: float, rng: np.random.Generator) -> Photo:
    """Makes every row of pixels brighter or darker by up to 60 grey levels."""
    rows = rng.standard_normal((photo.shape[0], 1, 1), np.float32)
    return round_values(photo + np.float32(_between(5.0, 60.0, level)) * rows)


# ---- compression ----


def _coded(photo: Photo, ending: str, option: int, value: int) -> Photo:
    is_coded, data = cv2.imencode(ending, photo[:, :, ::-1], [option, value])
    # OpenCV's JPEG 2000 refuses photos of a few pixels: nothing is lost on those.
    return images.decode(data.tobytes(), ending) if is_coded else photo


def jpeg(photo: Photo, level: float, _: np.random.Generator) -> Photo:
    """Compresses as JPEG, from quality 60 down to 4."""
    return _coded(photo, ".jpg", cv2.IMWRITE_JPEG_QUALITY, round(_between(60.0, 4.0, level)))


def jpeg2000(photo: Photo, level: float, _: np.random.Generator) -> Photo:
    """Compresses as JPEG 2000, from a tenth down to a 300th."""
    return _coded(photo, ".jp2", cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, round(_between(100.0, 3.0, level)))


def webp(photo: Photo, level: float, _: np.random.Generator) -> Photo:
    """Shrinks up to 3 times and compresses as WebP, from quality 40 down to 1, as messengers do it."""
    small = _shrunk(photo, _between(1.0, 3.0, level))
    coded = _coded(small, ".webp", cv2.IMWRITE_WEBP_QUALITY, round(_between(40.0, 1.0, level)))
    return resize_bicubic(coded, photo.shape[:2])


def lost_blocks(photo: Photo, level: float, rng: np.random.Generator) -> Photo:
    """Replaces up to 60 % of the blocks of 16 px by their left neighbour, as lost packets of a video do."""
    changed = photo.copy()
    for top in range(0, photo.shape[0], 16):
        for left in range(16, photo.shape[1], 16):
            if rng.random() < _between(0.05, 0.6, level):
                width = min(16, photo.shape[1] - left)
                changed[top : top + 16, left : left + width] = changed[top : top + 16, left - 16 : left - 16 + width]
    return changed


# ---- light and colour ----


def overexposed(photo: Photo, level: float, _: np.random.Generator) -> Photo:
    """Adds up to 4 stops of light, cut off at white."""
    return from_light(to_light(photo) * np.float32(2 ** (0.8 + 3.2 * level)))


def brightened(photo: Photo, level: float, _: np.random.Generator) -> Photo:
    """Raises grey levels up to 6 times, cut off at white, as programs brighten."""
    return round_values(photo * np.float32(_between(1.4, 6.0, level)))


def underexposed(photo: Photo, level: float, rng: np.random.Generator) -> Photo:
    """Takes away up to 6 stops of light, and leaves the noise."""
    light = to_light(photo) * np.float32(2 ** -(0.6 + 5.4 * level))
    return from_light(light + np.float32(0.002) * rng.standard_normal(light.shape, np.float32))


def faded(photo: Photo, level: float, rng: np.random.Generator) -> Photo:
    """Lowers contrast down to a 30th, towards any grey."""
    grey, contrast = np.float32(rng.uniform(60, 220)), np.float32(_between(0.6, 0.03, level))
    return round_values(grey + contrast * (photo.astype(np.float32) - grey))


def hazy(photo: Photo, level: float, rng: np.random.Generator) -> Photo:
    """Adds fog that is denser on one side."""
    height, width, _ = photo.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    side = (x / width - 0.5) * np.float32(np.cos(angle)) + (y / height - 0.5) * np.float32(np.sin(angle))
    clear = np.exp(-np.float32(_between(0.3, 3.5, level)) * (1 + side))[:, :, None]
    return round_values(clear * photo + (1 - clear) * np.float32(225))


def harsh(photo: Photo, level: float, _: np.random.Generator) -> Photo:
    """Raises contrast up to 8 times, cut off at black and white."""
    mean = np.float32(photo.mean())
    return round_values(mean + np.float32(_between(1.6, 8.0, level)) * (photo.astype(np.float32) - mean))


def posterized(photo: Photo, level: float, _: np.random.Generator) -> Photo:
    """Leaves from 12 down to 2 levels a channel: bands in every sky."""
    steps = np.float32(max(1, round(_between(12.0, 2.0, level)) - 1))
    return round_values(np.rint(photo / np.float32(255) * steps) * (255 / steps))


def colour_cast(photo: Photo, level: float, rng: np.random.Generator) -> Photo:
    """Makes the channels brighter and darker by up to 7 times against each other."""
    gains = rng.permutation(np.array([1.0, 0.0, -1.0]) + rng.uniform(-0.3, 0.3, 3))
    return from_light(to_light(photo) * (_between(1.3, 7.0, level) ** (gains - gains.max())).astype(np.float32))


# ---- no photo left ----


def striped(photo: Photo, level: float, rng: np.random.Generator) -> Photo:
    """Stripes in two colours laid over it, up to hiding it."""
    height, width, _ = photo.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), rng.uniform(4, 60)
    wave = np.sin(2 * np.pi / period * (x * np.cos(angle) + y * np.sin(angle)))[:, :, None] > 0
    colours = rng.uniform(0, 255, (2, 3)).astype(np.float32)
    cover = np.float32(_between(0.15, 1.0, level))
    return round_values((1 - cover) * photo + cover * np.where(wave, colours[0], colours[1]))


def drowned(photo: Photo, level: float, rng: np.random.Generator) -> Photo:
    """Mixes in noise, grey or coloured, up to noise alone."""
    height, width, _ = photo.shape
    chaos = rng.uniform(0, 255, (height, width, int(rng.choice([1, 3])))).astype(np.float32)
    cover = np.float32(_between(0.2, 1.0, level))
    return round_values((1 - cover) * photo + cover * chaos)


def covered(photo: Photo, level: float, rng: np.random.Generator) -> Photo:
    """Mixes in one colour, often black or white, up to that colour alone."""
    colour = rng.uniform(0, 255, 3) if rng.random() < 0.5 else np.full(3, rng.choice([0, 255]))
    cover = np.float32(_between(0.4, 1.0, level))
    return round_values((1 - cover) * photo + cover * colour.astype(np.float32))


DISTORTIONS: dict[str, Distortion] = {
    function.__name__: function
    for function in (
        defocus, motion, enlarged, pixelated, sharpened, noise, white_noise, grain, chroma_noise, salt_and_pepper,
        row_noise, jpeg, jpeg2000, webp, lost_blocks, overexposed, brightened, underexposed, faded, hazy, harsh,
        posterized, colour_cast, striped, drowned, covered,
    )
}  # fmt: skip
"""By name."""
