"""How a video moves: tOF and tLP of TecoGAN (Chu et al. 2020), and flicker where nothing moves.

tOF and tLP follow the authors' metrics.py (thunil/TecoGAN). Frames are given in time order, all of
one clip; a score belongs to the step from one frame to the next.
"""

from collections.abc import Mapping
from typing import Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from supervegan_jax.metrics.lpips import lpips

Frames = np.ndarray | jax.Array

# The authors cut the flow to whole multiples of 32 that leave at least 16 pixels altogether.
_GRID = 32
_LEAST_BORDER = 16
_SMALLEST_SIDE = _GRID + _LEAST_BORDER


def _codes(metric: str, estimate: Frames, reference: Frames) -> tuple[np.ndarray, np.ndarray]:
    """Both clips as uint8 [n, h, w, 3], or a ValueError."""
    if estimate.shape != reference.shape:
        raise ValueError(
            f"{metric} of clips of shapes {estimate.shape} and {reference.shape}: not equal"
        )
    if estimate.ndim != 4 or estimate.shape[-1] != 3:
        raise ValueError(f"{metric} of a clip of shape {estimate.shape}; accepted: [n, h, w, 3]")
    if estimate.shape[0] < 2:
        raise ValueError(f"{metric} of {estimate.shape[0]} frames; accepted: at least 2")
    return _to_uint8(metric, estimate), _to_uint8(metric, reference)


def _to_uint8(metric: str, frames: Frames) -> np.ndarray:
    frames = np.asarray(frames)
    if frames.dtype == np.uint8:
        return frames
    if not np.issubdtype(frames.dtype, np.floating):
        raise ValueError(f"{metric} of frames of {frames.dtype}; accepted: uint8, float in [0, 1]")
    lowest, highest = float(frames.min()), float(frames.max())
    if not (lowest >= 0.0 and highest <= 1.0):  # NaN too
        raise ValueError(f"{metric} of frames in [{lowest:g}, {highest:g}]; accepted: [0, 1]")
    return np.round(frames * np.float32(255.0)).astype(np.uint8)


def _inner(metric: str, height: int, width: int) -> tuple[slice, slice]:
    """The rows and columns that the authors' crop_8x8 keeps."""
    if min(height, width) < _SMALLEST_SIDE:
        raise ValueError(
            f"{metric} of {width}x{height} frames; accepted: sides of at least {_SMALLEST_SIDE}"
        )
    kept = [(size - _LEAST_BORDER) // _GRID * _GRID for size in (height, width)]
    starts = [(size - keep) // 2 for size, keep in zip((height, width), kept, strict=True)]
    rows, columns = (slice(s, s + keep) for s, keep in zip(starts, kept, strict=True))
    return rows, columns


def _flow(previous: np.ndarray, following: np.ndarray) -> np.ndarray:
    """Farnebäck's optical flow with the authors' settings: gray uint8 [h, w] -> [h, w, 2]."""
    empty: Any = None
    return cv2.calcOpticalFlowFarneback(
        previous,
        following,
        empty,
        pyr_scale=0.5,
        levels=3,
        winsize=15,
        iterations=3,
        poly_n=5,
        poly_sigma=1.2,
        flags=0,
    )


def tof(estimate_frames: Frames, reference_frames: Frames) -> np.ndarray:
    """tOF: how far the estimate's motion is from the reference's; lower is better, 0 is best.

    The mean length, in pixels, of the difference between the two clips' Farnebäck flows of 8-bit
    gray frames, over the multiple of 32 rows and columns in the middle that leaves a border of 8 or
    more (metrics.py, crop_8x8). The authors leave two frames out at each end of a clip, and average
    over the rest; here every step is given.

    Args:
      estimate_frames: RGB, uint8 or float in [0, 1] (rounded to 8 bits), [n, h, w, 3].
      reference_frames: frames of the same shape.

    Returns:
      [n - 1], float32.

    Raises:
      ValueError: for unequal shapes, fewer than two frames, sides under 48 pixels, other types,
        NaN or values outside [0, 1].
    """
    clips = _codes("tof", estimate_frames, reference_frames)
    rows, columns = _inner("tof", *clips[0].shape[1:3])
    grays = [[cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip] for clip in clips]
    scores = []
    for step in range(len(clips[0]) - 1):
        estimate, reference = (_flow(gray[step], gray[step + 1]) for gray in grays)
        difference = (reference - estimate)[rows, columns]
        scores.append(np.sqrt(np.sum(difference**2, axis=-1)).mean())
    return np.array(scores, np.float32)


def tlp(
    params: Mapping[str, Any],
    estimate_frames: Frames,
    reference_frames: Frames,
    *,
    network: str = "alexnet",
) -> np.ndarray:
    """tLP: |LPIPS between reference frames - LPIPS between the estimate's|; lower is better.

    On the same middle of the frames as `tof`. The authors print 100 times this value, as "tLPx100".

    Args:
      params: of `metrics.lpips.lpips`.
      estimate_frames: RGB, uint8 or float in [0, 1] (rounded to 8 bits), [n, h, w, 3].
      reference_frames: frames of the same shape.
      network: "alexnet", the authors' choice, or "vgg16".

    Returns:
      [n - 1], float32.

    Raises:
      ValueError: as `tof`, and for another network.
    """
    clips = _codes("tlp", estimate_frames, reference_frames)
    rows, columns = _inner("tlp", *clips[0].shape[1:3])
    scores = []
    for step in range(len(clips[0]) - 1):
        before, after = (
            jnp.asarray(np.stack([clip[i, rows, columns] for clip in clips]), jnp.float32) / 255.0
            for i in (step, step + 1)
        )
        estimate, reference = np.asarray(lpips(params, before, after, network=network))
        scores.append(abs(reference - estimate))
    return np.array(scores, np.float32)


def flicker(
    estimate_frames: Frames, reference_frames: Frames, *, static_within: int = 1
) -> np.ndarray:
    """How much the estimate changes from frame to frame where the reference stands still.

    A pixel is static at a step if no channel of the reference changes by more than `static_within`
    codes. The score is the mean over static pixels and channels of the estimate's absolute change,
    in 8-bit codes. Lower is steadier; a perfect estimate scores what the reference itself changes
    there (at most `static_within`), 0 for a frozen one.

    Args:
      estimate_frames: RGB, uint8 or float in [0, 1] (rounded to 8 bits), [n, h, w, 3].
      reference_frames: frames of the same shape.
      static_within: codes, 0 to 255.

    Returns:
      [n - 1], float32, 0 to 255; NaN for a step at which the reference has no static pixel.

    Raises:
      ValueError: for unequal shapes, fewer than two frames, other types, NaN or values outside
        [0, 1], or another `static_within`.
    """
    if not 0 <= static_within <= 255:
        raise ValueError(f"flicker static_within {static_within}; accepted: 0 to 255")
    estimate, reference = _codes("flicker", estimate_frames, reference_frames)
    scores = []
    for step in range(len(estimate) - 1):
        change, moved = (
            np.abs(clip[step + 1].astype(np.int16) - clip[step]) for clip in (estimate, reference)
        )
        static = moved.max(axis=-1) <= static_within
        scores.append(change[static].mean() if static.any() else np.nan)
    return np.array(scores, np.float32)
