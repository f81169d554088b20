"""How much each frame of a video differs from the one before: where its scenes are cut."""

import os
import re

from supervegan_jax.video import ffmpeg
from supervegan_jax.video.probe import probe

_WIDTH = 320  # pixels; cuts show as well in a small picture, many times faster


def cut_scores(path: str | os.PathLike[str]) -> list[float]:
    """Decodes a whole video and scores every frame as a possible first frame of a new scene.

    The score is that of ffmpeg's filter `scdet`: the mean absolute difference of luma to the last
    frame, less where that difference has been as large just before (motion), in percent. Above 10
    is a hard cut; dissolves and fades are not found.

    Returns:
      One score per frame, 0 for the first.

    Raises:
      VideoError: not a video, or damaged.
    """
    info = probe(path)
    width = min(_WIDTH, info.width)
    height = max(2, round(info.height * width / info.width))
    filters = f"scale={width}:{height}:flags=bilinear,scdet=threshold=0"
    filters += ",metadata=mode=print:key=lavfi.scd.score:file=-"
    command = ["-i", ffmpeg.url(path), "-map", "0:V:0", "-vf", filters]
    said = ffmpeg.run([*command, "-fps_mode", "passthrough", "-f", "null", os.devnull], path)
    return [float(score) for score in re.findall(r"^lavfi\.scd\.score=(\S+)", said, re.MULTILINE)]
