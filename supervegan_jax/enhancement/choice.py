"""Which shipped network suits a video, by its size, its bitrate and the device."""

import math
from typing import NamedTuple

AUTOMATIC = "auto"
# The shipped networks the choice is among, by scale: of a CPU, and of a GPU or TPU.
NETWORKS = {4: "supervegan4_small", 2: "supervegan2_small"}
ACCELERATED = {4: "fast_supervegan4", 2: "fast_supervegan2"}
_LINES = 720  # of the output the networks were trained to make
# A picture of so many bits per pixel has been kept nearly whole, detail and all.
_RICH = 0.2
# Up to here fast_supervegan2 is the better one; at 0.035 it is, at 0.106 supervegan2_small is.
_POOR = 0.06


class Choice(NamedTuple):
    """A shipped network's name, and why it was taken, in a line."""

    model: str
    reason: str


def choose(
    width: int, height: int, fps: float, kbps: float | None, accelerated: bool = False
) -> Choice:
    """Chooses between 4x and 2x, and between a network for a CPU and a better one.

    The networks make 1280x720, from 320x180 or from 640x360. Of other sizes the one is taken whose
    output has the number of lines nearest to 720 (in proportion); a rich picture may become larger
    than that, because it has the detail.

    Args:
      width, height: of the input in pixels.
      fps: its frames per second.
      kbps: its measured bitrate in kbit/s, None if nothing tells.
      accelerated: whether a GPU or TPU computes; it has time for the larger networks.
    """
    lines = min(width, height)
    bits_per_pixel = None if kbps is None else kbps * 1000 / (width * height * fps)
    rich = bits_per_pixel is not None and bits_per_pixel >= _RICH
    enlarge_most = lines < _LINES / (2 if rich else math.sqrt(8))
    scale = 4 if enlarge_most else 2
    rate = "unknown bitrate" if kbps is None else f"{kbps:.0f} kbit/s"
    if bits_per_pixel is not None:
        rate += f" ({bits_per_pixel:.3f} bits a pixel)"
    larger = f"{width * scale}x{height * scale}"
    other = 6 - scale
    why = f"{larger} is nearer to {_LINES} lines than {width * other}x{height * other}"
    if enlarge_most and lines >= _LINES / math.sqrt(8):
        why = f"a picture as rich as this fills {larger}"
    small, best = NETWORKS[scale], ACCELERATED[scale]
    if scale == 2 and bits_per_pixel is not None and bits_per_pixel > _POOR:
        best = small
    device = "" if accelerated or best == small else f"; {best} is better, and slow on a CPU"
    reason = f"{scale}x for {width}x{height} at {rate}: {why}{device}"
    return Choice(best if accelerated else small, reason)
