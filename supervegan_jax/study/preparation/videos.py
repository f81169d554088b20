"""The videos of a study: each clip itself, its encodes and the networks' outputs, cropped alike."""

import dataclasses
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.jobs import run_jobs
from supervegan_jax.rate_distortion.measure import Encoded
from supervegan_jax.rate_distortion.references import Reference
from supervegan_jax.rate_distortion.ways import Way
from supervegan_jax.rate_distortion.workspace import Workspace
from supervegan_jax.study.folder import MEDIA
from supervegan_jax.study.preparation.settings import StudySettings
from supervegan_jax.video.browser import Window, encode_for_browser
from supervegan_jax.video.writer import LosslessWriter
from supervegan_jax.video_input.frames import FrameFormat
from supervegan_jax.video_input.source import open_source


@dataclasses.dataclass(frozen=True)
class Shown:
    """A video that observers see.

    Attributes:
      name: its file in media/.
      key: of what is known of it in the workspace.
      reference: the clip.
      window: the part of the picture.
      encoded: what it is decoded from; None for the clip itself.
      way: the network; None shows what is decoded.
    """

    name: str
    key: str
    reference: Reference
    window: Window
    encoded: Encoded | None = None
    way: Way | None = None


def plan_window(reference: Reference, settings: StudySettings) -> Window:
    """The part of a clip that is shown.

    Raises:
      ValueError: the corner asked for leaves the picture or is odd.
    """
    width = min(settings.size[0], reference.width)
    height = min(settings.size[1], reference.height)
    free = (reference.width - width, reference.height - height)
    left, top = settings.corners.get(reference.name, (free[0] // 4 * 2, free[1] // 4 * 2))
    if not (0 <= left <= free[0] and 0 <= top <= free[1]) or left % 2 or top % 2:
        raise ValueError(
            f"crop {left},{top} of clip {reference.name}; even numbers up to {free[0]},{free[1]} "
            f"are accepted for a window of {width}x{height}"
        )
    return Window(left, top, width, height)


def plan_video(
    workspace: Workspace,
    settings: StudySettings,
    reference: Reference,
    encoded: Encoded | None = None,
    way: Way | None = None,
) -> Shown:
    """One video of a clip: itself, an encode of it, or an encode enhanced."""
    window = plan_window(reference, settings)
    key = workspace.key(
        shown=dataclasses.astuple(window),
        reference=reference.key,
        encode=None if encoded is None else encoded.key,
        way=None if way is None else way.identity,
        suffix=settings.suffix,
        crf=settings.crf,
        seed=settings.seed,  # so that names cannot be told from a published clip
    )
    return Shown(f"{key}.{settings.suffix}", key, reference, window, encoded, way)


def make_videos(
    workspace: Workspace, folder: Path, videos: Sequence[Shown], settings: StudySettings, jobs: Any
) -> dict[str, float | None]:
    """Makes those that are missing; networks run one after the other, encoders side by side.

    Returns:
      By name the PSNR of luma against what the file was made from, in dB; None if equal.
    """
    videos = list({video.name: video for video in videos}.values())
    missing = [video for video in videos if not _made(workspace, folder, video)]

    def make(video: Shown) -> None:
        path = folder / MEDIA / video.name
        if video.way is None or video.encoded is None:
            source = video.reference.path if video.encoded is None else video.encoded.path
            psnr = encode_for_browser(source, path, crf=settings.crf, window=video.window)
        else:
            psnr = _make_enhanced(video, video.encoded, video.way, path, settings.crf)
        known = {"psnr_db": psnr if math.isfinite(psnr) else None, "file": video.name}
        workspace.write("shown", video.key, known)

    run_jobs(make, [v for v in missing if v.way is None], jobs=jobs, title="cropping")
    run_jobs(make, [v for v in missing if v.way is not None], jobs=1, title="enhancing")
    known = {video.name: workspace.read("shown", video.key) or {} for video in videos}
    return {name: fields["psnr_db"] for name, fields in known.items()}


def _made(workspace: Workspace, folder: Path, video: Shown) -> bool:
    known = workspace.read("shown", video.key)
    return known is not None and (folder / MEDIA / video.name).is_file()


def _make_enhanced(video: Shown, encoded: Encoded, way: Way, path: Path, crf: int) -> float:
    reference, window = video.reference, video.window
    source = open_source(encoded.path)
    fmt = source.format.scaled(way.scale)
    if fmt != FrameFormat(reference.width, reference.height):
        raise ValueError(f"{encoded.path} is not what was planned; remove it")
    whole = Window(0, 0, window.width, window.height)
    with tempfile.TemporaryDirectory() as place:
        exact = Path(place, "frames.mkv")
        with LosslessWriter(
            exact, width=window.width, height=window.height, fps=reference.fps
        ) as writer:
            for frame in way.frames(source):
                writer.write(cut_planes(frame.planes, window))
        if writer.frame_count != reference.frame_count:
            raise ValueError(
                f"{encoded.path} gave {writer.frame_count} frames of {reference.frame_count}"
            )
        return encode_for_browser(exact, path, crf=crf, window=whole)


def cut_planes(planes: Sequence[np.ndarray], window: Window) -> bytes:
    """The samples of a window, plane after plane.

    Args:
      planes: Y [h, w], U and V [h / 2, w / 2], uint8.
      window: what is kept.
    """
    parts = []
    for plane, share in zip(planes, (1, 2, 2), strict=True):
        top, left = window.top // share, window.left // share
        part = plane[top : top + window.height // share, left : left + window.width // share]
        parts.append(np.ascontiguousarray(part).tobytes())
    return b"".join(parts)
