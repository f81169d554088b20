"""Still pictures as RGB, with every bit they hold."""

import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from supervegan_jax.video.reader import read_raw

_PNG = b"\x89PNG\r\n\x1a\n"
_GRAY16 = ("I;16", "I;16B", "I;16L", "I;16N")
_TIFF_BITS_PER_SAMPLE, _ORIENTATION = 258, 274


def is_picture(path: Path) -> bool:
    """Whether the file is a still picture, judged by its content."""
    try:
        with Image.open(path) as image:
            return getattr(image, "n_frames", 1) == 1
    except (UnidentifiedImageError, OSError):
        return False


def read_picture(path: Path) -> np.ndarray:
    """Reads a picture of 8 or 16 bits; gray becomes RGB, the camera's orientation is applied.

    An embedded colour profile is not applied.

    Returns:
      float32 RGB in [0, 1], [h, w, 3].

    Raises:
      ValueError: no picture, damaged, transparent, several pictures, or samples of another kind.
    """
    try:
        with Image.open(path) as image:
            image.load()
            if (count := getattr(image, "n_frames", 1)) > 1:
                raise ValueError(f"{path} holds {count} pictures; files of one are accepted")
            if image.format == "PNG" and _is_png_of_16_bit_colour(path):
                if image.getexif().get(_ORIENTATION, 1) != 1:
                    raise ValueError(f"{path} asks to be turned; turn its pixels and drop the tag")
                return _read_deep_png(path, *image.size)
            return _to_rgb(path, image)
    except (UnidentifiedImageError, OSError, SyntaxError, struct.error) as error:
        raise ValueError(f"{path} is no readable picture: {error}") from error


def _to_rgb(path: Path, image: Image.Image) -> np.ndarray:
    bits = getattr(image, "tag_v2", {}).get(_TIFF_BITS_PER_SAMPLE, (8,))
    if image.mode in _GRAY16:
        gray = np.asarray(ImageOps.exif_transpose(image)).astype(np.float32) / 65535
        return np.repeat(gray[..., None], 3, axis=2)
    if max(bits) > 8 or image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        raise ValueError(
            f"{path}: pictures of the kind {image.mode}, {max(bits)} bits, are not supported; "
            "supported are gray and RGB of 8 bits, and of 16 bits as PNG"
        )
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            raise ValueError(f"{path} is transparent in places; put it on a background first")
    picture = ImageOps.exif_transpose(image).convert("RGB")
    return np.asarray(picture).astype(np.float32) / 255


def _is_png_of_16_bit_colour(path: Path) -> bool:
    """True for what Pillow would cut down to 8 bits without a word."""
    with open(path, "rb") as file:
        head = file.read(26)
    return head[:8] == _PNG and head[24] == 16 and head[25] != 0


def _read_deep_png(path: Path, width: int, height: int) -> np.ndarray:
    frames = list(read_raw(path, "null", "rgba64le", width * height * 8))
    samples = np.frombuffer(frames[0], "<u2").reshape(height, width, 4)
    if samples[..., 3].min() != 65535:
        raise ValueError(f"{path} is transparent in places; put it on a background first")
    return samples[..., :3].astype(np.float32) / 65535
