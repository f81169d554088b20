"""Where a video's scenes begin, found while its frames come in."""

import numpy as np

from supervegan_jax.video_input.frames import VideoFrame

THRESHOLD = 10.0  # percent
_PIXELS = 320  # along the longer side, about; cuts show as well in a small picture


class CutDetector:
    """Tells hard cuts as ffmpeg's filter `scdet` does, from every few pixels.

    A frame begins a scene if the mean absolute difference of its luma to the last frame's is above
    10 percent, and above the last such difference by as much: motion alone is no cut.
    """

    def __init__(self, bit_depth: int) -> None:
        """Begins a video whose samples have so many bits."""
        self._white = float((1 << bit_depth) - 1)
        self._last: np.ndarray | None = None
        self._difference = 0.0

    def is_first(self, frame: VideoFrame) -> bool:
        """Whether the next frame begins a scene; a video's first does not count."""
        luma = frame.planes[0]
        step = max(1, max(luma.shape) // _PIXELS)
        seen = luma[::step, ::step].astype(np.float32) / self._white
        last, self._last = self._last, seen
        if last is None:
            return False
        difference = 100 * float(np.mean(np.abs(seen - last)))
        change, self._difference = abs(difference - self._difference), difference
        return min(difference, change) > THRESHOLD
