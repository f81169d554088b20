"""Peak-quality frames: those of a compressed video that are better than their neighbours.

MFQE 2.0 (Guan, Xing et al., TPAMI 2019) calls them PQFs and enhances every frame with the help of
the nearest one on either side.
"""

from collections.abc import Sequence

import numpy as np

# Frames from one peak to the next at most, see `label_peak_quality_frames`.
LARGEST_DISTANCE = 4
_FILL_OFFSET = 2


def label_peak_quality_frames(
    psnr: np.ndarray, largest_distance: int = LARGEST_DISTANCE
) -> np.ndarray:
    """Labels the peaks of one scene from the true quality, as for training.

    A peak is better than the frame before and not worse than the one after (the paper's Section 3;
    of equal frames the first counts). The first and last frames are peaks too, and where two peaks
    are more than `largest_distance` apart, quality rises or falls for long, a frame two from the
    better one becomes a peak as well. These two additions are from the labelling script that
    passes from hand to hand among users of the authors' data set, with a distance of 4 or 3; the
    authors' repository itself holds finished labels only.

    Args:
      psnr: [n] in dB, or any quality; a scene change begins another call.
      largest_distance: at least 3.

    Returns:
      bool [n].

    Raises:
      ValueError: psnr is not one-dimensional, empty or NaN, or the distance is too small.
    """
    psnr = np.asarray(psnr)
    if psnr.ndim != 1 or not psnr.size or np.isnan(psnr).any():
        raise ValueError(f"psnr of shape {psnr.shape}; [n] numbers, n at least 1, are needed")
    if largest_distance <= _FILL_OFFSET:
        raise ValueError(f"largest_distance is {largest_distance}; at least 3 is accepted")
    peaks = np.ones(psnr.size, bool)
    peaks[1:-1] = (psnr[1:-1] > psnr[:-2]) & (psnr[1:-1] >= psnr[2:])
    while True:
        indices = np.flatnonzero(peaks)
        gaps = np.flatnonzero(np.diff(indices) > largest_distance)
        if not gaps.size:
            return peaks
        left, right = indices[gaps], indices[gaps + 1]
        rising = psnr[left] <= psnr[right]
        peaks[np.where(rising, right - _FILL_OFFSET, left + _FILL_OFFSET)] = True


def refine_peak_labels(probability: np.ndarray, largest_gap: int) -> np.ndarray:
    """Labels the peaks from a detector's probabilities (the paper's Section 4.2, post-processing).

    Of peaks in a row the most probable stays, since no frame and its neighbour are both better than
    the other. Where more than `largest_gap` other frames lie between two peaks, the most probable
    of them that is no peak's neighbour becomes one, until no such gap is left.

    Args:
      probability: [n] of being a peak, in [0, 1]; one of 0.5 and more is.
      largest_gap: the paper's D, at least 2.

    Returns:
      bool [n].

    Raises:
      ValueError: probability is not [n] numbers in [0, 1], or the gap is below 2.
    """
    p = np.asarray(probability)
    if p.ndim != 1 or not p.size or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"probability of shape {p.shape}; [n] numbers in [0, 1] are needed")
    if largest_gap < 2:
        raise ValueError(f"largest_gap is {largest_gap}; at least 2 is accepted")
    peaks = np.zeros(p.size, bool)
    for start, stop in _runs(p >= 0.5):
        peaks[start + np.argmax(p[start:stop])] = True
    while True:
        gaps = [
            (start, stop)
            for start, stop in _runs(~peaks)
            if stop - start > largest_gap and start > 0 and stop < p.size
        ]
        if not gaps:
            return peaks
        for start, stop in gaps:
            peaks[start + 1 + np.argmax(p[start + 1 : stop - 1])] = True


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """The stretches of True in bool [n], as (first, one behind the last)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def next_peak(sizes: Sequence[float], ended: bool) -> int | None:
    """Finds the peak after a peak by how many bytes each frame was coded with.

    An encoder spends more on the frames that others refer to, and these are the better ones. So a
    frame of more bytes than the one before and no fewer than the one after is a peak; where none
    comes within `LARGEST_DISTANCE`, the larger one of the second and the third frame is, of equal
    ones the third; and so is the last frame. The rule is ours: it takes the place of the authors'
    detector, and needs to know `LARGEST_DISTANCE` + 1 frames after a peak and no more.

    Args:
      sizes: of a peak and the frames after it, in any unit.
      ended: whether these are all the frames there are.

    Returns:
      The next peak's index in `sizes`; None if more frames must be known, or there is no other.
    """
    for i in range(1, LARGEST_DISTANCE + 1):
        if i + 1 >= len(sizes):
            return i if ended and i < len(sizes) else None
        if sizes[i - 1] < sizes[i] >= sizes[i + 1]:
            return i
    return 2 if sizes[2] > sizes[3] else 3


def label_peaks_by_size(sizes: Sequence[float]) -> np.ndarray:
    """Labels the peaks of a video by `next_peak`; its first frame is one.

    Args:
      sizes: of its frames in the order they are shown, n of them.

    Returns:
      bool [n].
    """
    peaks = np.zeros(len(sizes), bool)
    place: int | None = 0
    peak = 0
    while place is not None and len(sizes):
        peak += place
        peaks[peak] = True
        place = next_peak(sizes[peak : peak + LARGEST_DISTANCE + 2], ended=True)
    return peaks


def choose_references(peaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The peak before and the peak after every frame, peaks included.

    Where there is none, the frame takes its own place (`return_PQFIndices` and `return_NPIndices`
    in main_test.py of ryanxingql/mfqev2.0).

    Args:
      peaks: bool [n].

    Returns:
      The indices of the previous and the next peak, int [n] each.

    Raises:
      ValueError: peaks is not bool [n].
    """
    peaks = np.asarray(peaks)
    if peaks.ndim != 1 or peaks.dtype != bool:
        raise ValueError(f"peaks of shape {peaks.shape}, {peaks.dtype}; bool [n] is needed")
    frames = np.arange(peaks.size)
    indices = np.flatnonzero(peaks)
    if not indices.size:
        return frames, frames.copy()
    before = np.searchsorted(indices, frames, side="left") - 1
    after = np.searchsorted(indices, frames, side="right")
    previous = np.where(before >= 0, indices[np.maximum(before, 0)], frames)
    following = np.where(after < indices.size, indices[np.minimum(after, indices.size - 1)], frames)
    return previous, following
