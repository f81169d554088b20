"""Where subsampled chroma lies; without JAX, for the commands that do without it.

A chroma sample i of an axis that is halved lies at luma position 2 i + s (pixel centres are whole
numbers): s = 0 on the even pixel, 0.5 between the two, 1 on the odd one.
"""

from typing import Final

# ffmpeg's name -> (s along the width, s along the height).
SITES: Final = {
    "left": (0.0, 0.5),
    "center": (0.5, 0.5),
    "topleft": (0.0, 0.0),
    "top": (0.5, 0.0),
    "bottomleft": (0.0, 1.0),
    "bottom": (0.5, 1.0),
}
