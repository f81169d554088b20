"""Whether the output's container can hold everything, tried out before the work starts."""

import dataclasses
import re
from fractions import Fraction
from pathlib import Path
from typing import Final, NoReturn

import av
import numpy as np
from av.stream import Disposition

from supervegan_jax.video import ffmpeg
from supervegan_jax.video.ffmpeg import VideoError
from supervegan_jax.video_input import media
from supervegan_jax.video_input.frames import VideoFrame
from supervegan_jax.video_input.media import StreamInfo
from supervegan_jax.video_input.source import Source
from supervegan_jax.video_output import mux, segments
from supervegan_jax.video_output.encoding import CONTAINERS
from supervegan_jax.video_output.plan import BRANDS, MP4_LIKE, Plan, tag_name
from supervegan_jax.video_output.segments import Joined, SegmentWriter, VideoSettings

CANDIDATES: Final = ("mkv", "mp4", "mov", "ts", "webm")
# What ffmpeg says when it writes something that it could not read back.
UNREADABLE: Final = re.compile(r"private data|may not be recognized|will be ignored")
# The nine numbers of a display matrix are in units of 1/65536.
MATRIX_ROUNDING: Final = 2
TRIAL_SECONDS: Final = 1


def require(plan: Plan, settings: VideoSettings, source: Source, folder: Path) -> tuple[str, ...]:
    """Makes a file of one frame and a second of the copied streams, and looks whether it works.

    Args:
      plan: what is to go into the output.
      settings: of the video.
      source: for the time of its first frame.
      folder: for the files of the trial, which are removed.

    Returns:
      What is knowingly left behind, one line each: nothing that is seen or heard.

    Raises:
      VideoError: naming the stream that does not fit and a container that can hold everything.
    """
    video = _one_frame(settings, source, folder)
    try:
        complaint, notes = _trial(plan, video, settings.picture.display_matrix)
        if complaint is not None:
            _refuse(plan, settings, video, complaint)
        return notes
    finally:
        video.path.unlink(missing_ok=True)


def _refuse(plan: Plan, settings: VideoSettings, video: Joined, complaint: str) -> NoReturn:
    if plan.info is None or plan.source is None:
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
    return _trial(plan, video, display_matrix)[0]


def _trial(
    plan: Plan, video: Joined, display_matrix: tuple[int, ...] | None
) -> tuple[str | None, tuple[str, ...]]:
    """Why a trial fails, or None, and what it loses that may be lost.

    A display matrix, where given, must come back as it was.
    """
    destination = video.path.with_name(f"trial.{plan.container}")
    whole = dataclasses.replace(plan, start=None, end=None)
    try:
        said = mux.mux(whole, video, destination, ("-t", str(TRIAL_SECONDS)))
        with av.open(ffmpeg.url(destination), "r", metadata_errors="replace") as file:
            complaint, notes = _missing(plan, file), _left_out(plan, file)
            found = None if display_matrix is None else _display_matrix(file)
    except VideoError as error:
        return str(error), ()
    except av.error.FFmpegError as error:
        return f"it cannot be read back: {error.strerror}", ()
    finally:
        destination.unlink(missing_ok=True)
    doubts = [line for line in said.splitlines() if UNREADABLE.search(line)]
    if display_matrix is not None and not _alike(found, display_matrix):
        complaint = complaint or "the rotation is lost"
    return complaint or (doubts[0] if doubts else None), notes


def _missing(plan: Plan, file: av.container.InputContainer) -> str | None:
    """What the reopened trial lacks that is seen or heard, or None."""
    wanted = sum(stream.kind == "attachment" for stream in plan.kept) + len(plan.covers())
    attached = [stream for stream in file.streams if _is_attached(stream)]
    # The short trial of an MP4 file lacks the streams that begin later.
    complete = plan.container in MP4_LIKE or len(file.streams) >= len(plan.kept)
    return None if complete and len(attached) >= wanted else "a stream is lost without a word"


def _is_attached(stream: av.stream.Stream) -> bool:
    return stream.type == "attachment" or bool(stream.disposition & Disposition.attached_pic)


def _left_out(plan: Plan, file: av.container.InputContainer) -> tuple[str, ...]:
    """A note about the chapters, titles, languages and tags that the reopened trial lacks."""
    if plan.info is None:
        return ()
    lost, chapters = [], len(plan.info.chapters)
    if len(file.chapters()) < chapters:
        lost.append(f"{chapters} chapter{'s' * (chapters > 1)}")
    covers = plan.covers()
    wanted = [s for s in plan.kept if s.kind != "attachment" and s not in covers]
    found = [dict(s.metadata) for s in file.streams if not _is_attached(s)]
    if len(found) >= len(wanted):
        for stream, tags in zip(wanted, found, strict=False):
            title = stream.metadata.get("title", stream.metadata.get("name"))
            language = stream.metadata.get("language", "und")
            if title and title not in tags.values():
                lost.append(f"the title of {stream}")
            if language not in ("und", tags.get("language")):
                lost.append(f"the language of {stream}")
    keys = {tag_name(key) for key in file.metadata}
    # In a transport stream the title is that of the programme.
    keys |= {*BRANDS, "encoder", *["title"] * (plan.container in ("ts", "m2ts"))}
    values = set(file.metadata.values())
    given = plan.info.metadata.items()
    names = [k for k, v in given if tag_name(k) not in keys and v not in values]
    if names:
        beside = " beside cover art" * bool(plan.container in MP4_LIKE and covers)
        lost.append(f"the tag{'s' * (len(names) > 1)} {', '.join(names)}{beside}")
    return (f"{plan.container} does not keep {'; '.join(lost)}",) if lost else ()


def _alike(found: tuple[int, ...] | None, wanted: tuple[int, ...]) -> bool:
    pairs = zip(found or (), wanted, strict=False)
    return found is not None and all(abs(a - b) <= MATRIX_ROUNDING for a, b in pairs)


def _display_matrix(file: av.container.InputContainer) -> tuple[int, ...] | None:
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
