"""Whether the output's container can hold everything, tried out before the work starts."""

import dataclasses
import re
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np

from supervegan_jax.video import ffmpeg
from supervegan_jax.video.ffmpeg import VideoError
from supervegan_jax.video_input import media
from supervegan_jax.video_input.frames import VideoFrame
from supervegan_jax.video_input.media import StreamInfo
from supervegan_jax.video_input.source import Source
from supervegan_jax.video_output import mux, segments
from supervegan_jax.video_output.encoding import CONTAINERS
from supervegan_jax.video_output.mux import Plan
from supervegan_jax.video_output.segments import Joined, SegmentWriter, VideoSettings

CANDIDATES: Final = ("mkv", "mp4", "mov", "ts", "webm")
# What ffmpeg says when it writes something that it could not read back.
UNREADABLE: Final = re.compile(r"private data|may not be recognized|will be ignored")
# The nine numbers of a display matrix are in units of 1/65536.
MATRIX_ROUNDING: Final = 2
TRIAL_SECONDS: Final = 1


def require(plan: Plan, settings: VideoSettings, source: Source, folder: Path) -> None:
    """Makes a file of one frame and a second of the copied streams, and looks whether it works.

    Args:
      plan: what is to go into the output.
      settings: of the video.
      source: for the time of its first frame.
      folder: for the files of the trial, which are removed.

    Raises:
      VideoError: naming the stream that does not fit and a container that can hold everything.
    """
    video = _one_frame(settings, source, folder)
    try:
        _try_all(plan, settings, video)
    finally:
        video.path.unlink(missing_ok=True)


def _try_all(plan: Plan, settings: VideoSettings, video: Joined) -> None:
    turned = settings.picture.display_matrix
    complaint = _complaint(plan, video, turned)
    if complaint is None:
        return
    if plan.info is None:
        raise VideoError(f"the video does not fit into {plan.container}: {complaint}")
    own = plan.info.video
    alone = _complaint(_with(plan, (own,)), video) is None
    misfits = [
        stream
        for stream in plan.kept
        if stream is not own and alone and _complaint(_with(plan, (own, stream)), video) is not None
    ]
    holder = next((c for c in CANDIDATES if _holds(plan, c, settings, video)), None)
    advice = (
        f"{holder} can hold it"
        if holder
        else "no container can hold all of it; leave that stream out (--drop)"
    )
    if not misfits and _complaint(plan, video) is None:
        raise VideoError(f"{plan.container} cannot hold the rotation of the video; {advice}")
    if not misfits:
        raise VideoError(f"{plan.source} does not fit into {plan.container}: {complaint}; {advice}")
    names = " and ".join(str(stream) for stream in misfits)
    raise VideoError(f"{names} of {plan.source} does not fit into {plan.container}; {advice}")


def _with(plan: Plan, kept: tuple[StreamInfo, ...], container: str | None = None) -> Plan:
    ordered = tuple(stream for stream in plan.kept if stream in kept)
    return dataclasses.replace(plan, kept=ordered, container=container or plan.container)


def _holds(plan: Plan, container: str, settings: VideoSettings, video: Joined) -> bool:
    codecs = CONTAINERS[container][1]
    fits = settings.encoding.codec in codecs
    other = _with(plan, plan.kept, container)
    return fits and _complaint(other, video, settings.picture.display_matrix) is None


def _complaint(
    plan: Plan, video: Joined, display_matrix: tuple[int, ...] | None = None
) -> str | None:
    """Why a trial fails, or None; a display matrix, where given, must come back as it was."""
    destination = video.path.with_name(f"trial.{plan.container}")
    whole = dataclasses.replace(plan, start=None, end=None)
    try:
        said = mux.mux(whole, video, destination, ("-t", str(TRIAL_SECONDS)))
        found = None if display_matrix is None else _display_matrix(destination)
    except VideoError as error:
        return str(error)
    finally:
        destination.unlink(missing_ok=True)
    doubts = [line for line in said.splitlines() if UNREADABLE.search(line)]
    if display_matrix is not None and not _alike(found, display_matrix):
        return "the rotation is lost"
    return doubts[0] if doubts else None


def _alike(found: tuple[int, ...] | None, wanted: tuple[int, ...]) -> bool:
    pairs = zip(found or (), wanted, strict=False)
    return found is not None and all(abs(a - b) <= MATRIX_ROUNDING for a, b in pairs)


def _display_matrix(path: Path) -> tuple[int, ...] | None:
    with av.open(ffmpeg.url(path), "r", metadata_errors="replace") as file:
        stream = media.find_video(file)
        frame = None if stream is None else next(file.decode(stream), None)
        if stream is None or not isinstance(frame, av.VideoFrame):
            return None
        return media.describe_picture(stream, frame).display_matrix


def _one_frame(settings: VideoSettings, source: Source, folder: Path) -> Joined:
    dtype = settings.format.dtype
    planes = tuple(np.full(shape, 64, dtype) for shape in settings.format.plane_shapes)
    start = Fraction(0) if source.info is None else source.info.start_time
    writer = SegmentWriter(folder / "trial.segment", settings)
    try:
        # A frame of an odd duration would make the muxer believe in an odd frame rate.
        duration = max(1, round(1 / settings.rate / settings.time_base))
        writer.write(VideoFrame(0, round(start / settings.time_base), planes, duration))
        writer.finish()
        return segments.join([writer.path], folder / "trial_video.mp4", settings)
    finally:
        writer.discard()
        writer.path.unlink(missing_ok=True)
