"""The finished file: the new video among the copied streams, tags and chapters of its source.

ffmpeg copies packets without touching their bytes; timestamps move, if at all, by whole ticks.
"""

import errno
import math
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

import av

from supervegan_jax.video import ffmpeg
from supervegan_jax.video.ffmpeg import VideoError
from supervegan_jax.video_input import media
from supervegan_jax.video_input.media import StreamInfo
from supervegan_jax.video_output import mp4_times
from supervegan_jax.video_output.encoding import CONTAINERS
from supervegan_jax.video_output.plan import BRANDS, MP4_LIKE, Plan, tag_name
from supervegan_jax.video_output.segments import Joined

# Tags that count the bytes of a stream that is no longer the same, or name its old encoder.
STALE_TAGS: Final = re.compile(r"BPS|NUMBER_OF_BYTES|_STATISTICS_.*|encoder", re.IGNORECASE)
# Tags that every stream of a shortened file gets anew.
LENGTH_TAGS: Final = re.compile(r"BPS|NUMBER_OF_.*|_STATISTICS_.*|DURATION", re.IGNORECASE)
# Less is the rounding of timestamps.
SHOWN_SECONDS: Final = 0.001
# Streams lie in a file side by side, but not exactly.
READ_ON_SECONDS: Final = 10
PICTURE_TYPES: Final = {"mjpeg": ("jpg", "image/jpeg"), "png": ("png", "image/png")}


def mux(plan: Plan, video: Joined, destination: Path, extra: Sequence[str] = ()) -> str:
    """Writes the output.

    Args:
      plan: what goes into it.
      video: the encoded video.
      destination: where; its folder also takes small files needed on the way.
      extra: more options for the input, such as a limit of time.

    Returns:
      What ffmpeg said.

    Raises:
      VideoError: ffmpeg failed.
      OSError: the disk is full.
    """
    words = command(plan, video, destination.parent, ["-i", ffmpeg.url(video.path)], extra)
    words += ["-f", CONTAINERS[plan.container][0], ffmpeg.url(destination)]
    done = subprocess.run(words, capture_output=True, check=False)
    said = done.stderr.decode(errors="replace")
    if done.returncode:
        raise failure(done.returncode, said, destination.name)
    if plan.created is not None:
        mp4_times.write(destination, plan.created)
    return said


def shift_notes(plan: Plan, video: Joined, finished: Path) -> tuple[str, ...]:
    """A note if the muxer has moved all streams of a whole source.

    A transport stream has no time below 0, which frames that are decoded before the first one is
    shown, and sound that begins before the picture, would need.
    """
    if plan.container not in ("ts", "m2ts") or plan.source is None or plan.trimmed:
        return ()
    with av.open(ffmpeg.url(finished), "r", metadata_errors="replace") as file:
        stream = media.find_video(file)
        if stream is None or stream.start_time is None or stream.time_base is None:
            return ()
        later = float(stream.start_time * stream.time_base - video.first - plan.delay)
    if abs(later) < SHOWN_SECONDS:
        return ()
    return (f"{plan.container} begins at 0: all streams are shown {later:.3f} s later",)


def command(
    plan: Plan, video: Joined, folder: Path, video_input: Sequence[str], extra: Sequence[str] = ()
) -> list[str]:
    """ffmpeg's command line, all but the output itself.

    Args:
      plan: what goes into the output.
      video: the encoded video.
      folder: takes small files needed on the way.
      video_input: the words that open it.
      extra: more options for the source, such as a limit of time.
    """
    words = [ffmpeg.executable(), "-nostdin", "-hide_banner", "-v", "warning", "-y", "-copyts"]
    if plan.source is not None:
        words += [*extra, *_reading(plan), "-i", ffmpeg.url(plan.source)]
    words += [*video_input, *_arguments(plan, video, folder)]
    return words + _muxer_options(plan, video)


def _reading(plan: Plan) -> list[str]:
    """Keeps ffmpeg from reading a long source to its end for a part of its beginning."""
    if plan.info is None or plan.end is None:
        return []
    return ["-t", f"{float(plan.end - plan.info.start_time) + READ_ON_SECONDS:.3f}"]


def failure(code: int, said: str, name: str) -> Exception:
    """The error behind ffmpeg's exit code and its words: the output's end, or one of the input."""
    for number in (errno.ENOSPC, errno.EPIPE):
        if os.strerror(number) in said:
            return OSError(number, os.strerror(number), name)
    if code == -signal.SIGXFSZ:
        return OSError(errno.EFBIG, os.strerror(errno.EFBIG), name)
    lines = [
        line for line in said.splitlines() if re.search(r"(?i)could|not|error|inval|no sp", line)
    ]
    # A line that names a cause: a warning may come before the error.
    return VideoError(f"{name}: {ffmpeg.first_complaint(chr(10).join(lines or [said]))}")


def _muxer_options(plan: Plan, video: Joined) -> list[str]:
    options = ["-fflags", "+bitexact", "-copy_unknown", "-max_muxing_queue_size", "100000"]
    options += ["-output_ts_offset", str(plan.delay)] * bool(plan.delay)
    if plan.container in MP4_LIKE:
        # Edit lists count in the movie's ticks, and those would be milliseconds otherwise.
        options += ["-movie_timescale", str(video.timescale), "-write_tmcd", "auto"]
        flags = ["use_metadata_tags"] * plan.free_form
        if plan.piped:
            flags += ["frag_keyframe", "empty_moov", "delay_moov", "default_base_moof"]
            options += ["-frag_duration", "1000000"]
        options += ["-movflags", "+" + "+".join(flags)] if flags else []
    elif plan.container in ("ts", "m2ts"):
        options += ["-mpegts_copyts", "1", "-muxdelay", "0", "-muxpreload", "0"]
        options += ["-mpegts_m2ts_mode", "1"] if plan.container == "m2ts" else []
    return options


def _arguments(plan: Plan, video: Joined, folder: Path) -> list[str]:
    """Everything between the inputs and the muxer: streams, tags, chapters and filters."""
    if plan.info is None or plan.source is None:
        return _alone(plan, video, folder)
    shift = video.first if plan.trimmed else Fraction(0)
    arguments = ["-c", "copy", "-map_metadata", "0"]
    if plan.container not in MP4_LIKE or plan.free_form:
        # They would become tags like any other; MP4 gets its own anyway.
        blank = ["creation_time"] * (plan.created is not None)
        blank += [key for key in BRANDS if key in plan.info.metadata]
        arguments += [word for key in blank for word in ("-metadata", f"{key}=")]
    chapters = _chapters(plan, shift, folder)
    # Matroska keeps cover art as attached files.
    covers = plan.covers() if plan.container == "mkv" else []
    streams = [stream for stream in plan.kept if stream not in covers]
    for place, stream in enumerate(streams):
        is_video = stream is plan.info.video
        arguments += ["-map", "1:0" if is_video else f"0:{stream.index}"]
        arguments += [f"-map_metadata:s:{place}", f"0:s:{stream.index}"]
        arguments += [f"-disposition:{place}", "+".join(stream.dispositions) or "0"]
        arguments += _changed_tags(plan, stream, is_video, place)
        if is_video:
            arguments += _shift(video.first - video.lead - shift, video, place)
            arguments += _naming(plan, video, stream.metadata, place)
        elif plan.trimmed and stream.kind != "attachment" and stream not in plan.covers():
            arguments += _trim(stream, shift, plan.end, place)
    return [*chapters, *arguments, *_attach(plan, covers, folder)]


def _alone(plan: Plan, video: Joined, folder: Path) -> list[str]:
    """The video of a source that cannot be read again, with the tags that were read from it."""
    arguments = ["-map", "0:0", "-c", "copy", "-map_metadata:g", "-1", "-map_metadata:s:0", "-1"]
    first = Fraction(0) if plan.trimmed else max(video.first, Fraction(0))
    arguments += _shift(first - video.lead, video, 0)
    if plan.info is None:
        return arguments + _naming(plan, video, {}, 0)
    known = plan.info.video
    arguments += _naming(plan, video, known.metadata, 0)
    arguments += ["-disposition:0", "+".join(known.dispositions) or "0"]
    for key, value in plan.info.metadata.items():
        written_later = key == "creation_time" and plan.created is not None
        if not written_later and tag_name(key) not in (*BRANDS, "encoder"):
            arguments += ["-metadata", f"{key}={value}"]
    for key, value in known.metadata.items():
        arguments += ["-metadata:s:0", f"{key}={value}"]
    arguments += _changed_tags(plan, known, True, 0)
    return [*_chapters(plan, video.first if plan.trimmed else Fraction(0), folder), *arguments]


def _naming(plan: Plan, video: Joined, tags: Mapping[str, str], place: int) -> list[str]:
    """What the muxer has to be told of the video beside its tags."""
    words, rate = [], plan.rate
    if video.codec == "h265" and plan.container in MP4_LIKE:
        # Apple's players know H.265 by this name only.
        words += [f"-tag:{place}", "hvc1"]
    if rate is not None and "timecode" in map(tag_name, tags):
        # A time code counts frames, so its track needs to know how many make a second; ffmpeg
        # would take a frame for the tick, too, and round every timestamp to it.
        words += [f"-r:{place}", f"{rate.numerator}/{rate.denominator}"]
        words += [f"-time_base:{place}", f"1/{video.timescale}"]
    return words


def _changed_tags(plan: Plan, stream: StreamInfo, is_video: bool, place: int) -> list[str]:
    """Leaves out what is no longer true, and gives a track's name where the muxer looks for it."""
    stale = [key for key in stream.metadata if is_video and STALE_TAGS.fullmatch(tag_name(key))]
    if plan.trimmed:
        stale += [key for key in stream.metadata if LENGTH_TAGS.fullmatch(tag_name(key))]
    changes = dict.fromkeys(stale, "")
    # The MP4 demuxer calls "name" what the muxers, its own among them, call "title".
    if "name" in stream.metadata and "title" not in stream.metadata:
        changes["title"] = stream.metadata["name"]
    option = f"-metadata:s:{place}"
    return [word for key, value in changes.items() for word in (option, f"{key}={value}")]


def _shift(seconds: Fraction, video: Joined, place: int) -> list[str]:
    """Moves the video, and ends it where its last frame does.

    MP4 keeps when frames are decoded, and is read as if each were shown until the next is decoded.
    """
    moved = round(seconds * video.timescale)
    setts = f"setts=pts=PTS+({moved}):dts=DTS+({moved})"
    if video.last is not None and video.end is not None:
        last, end = (round(time * video.timescale) for time in (video.last, video.end))
        longest = f"min(DURATION\\,max({end}-PTS\\,0))"
        setts += f":duration=if(eq(PTS\\,{last})\\,{end - last}\\,{longest})"
    elif not moved:
        return []
    return [f"-bsf:{place}", setts]


def _trim(stream: StreamInfo, shift: Fraction, end: Fraction | None, place: int) -> list[str]:
    """Keeps the packets shown from the first frame on; a subtitle already showing is shortened."""
    base = stream.time_base
    low, moved = math.ceil(shift / base), round(shift / base)
    outside = f"lt(pts+d*{int(stream.kind == 'subtitle')},{low + (stream.kind == 'subtitle')})"
    if stream.kind != "subtitle":
        outside = f"lt(pts,{low})"
    if end is not None:
        outside += f"+gte(pts,{math.ceil(end / base)})"
    setts = f"setts=pts=PTS-({moved}):dts=DTS-({moved})"
    if stream.kind == "subtitle":
        setts = f"setts=pts=max(PTS-({moved})\\,0):dts=max(DTS-({moved})\\,0)"
        begin = f"max(PTS\\,{moved})"
        left = f"PTS+DURATION-{begin}"
        if end is not None:
            left = f"min({left}\\,{math.ceil(end / base)}-{begin})"
        setts += f":duration={left}"
    drop = outside.replace(",", "\\,")
    return [f"-bsf:{place}", f"noise=amount=0:drop={drop},{setts}"]


def _chapters(plan: Plan, shift: Fraction, folder: Path) -> list[str]:
    """Chapters as they are, or those of the selected part on the output's clock."""
    if plan.info is None or (plan.source is not None and not plan.trimmed):
        return ["-map_chapters", "0"]
    lines = [";FFMETADATA1"]
    for start, end, tags in plan.info.chapters:
        last = end if plan.end is None else min(end, plan.end)
        if last <= shift or start >= last:
            continue
        lines += ["[CHAPTER]", "TIMEBASE=1/1000000000"]
        lines.append(f"START={round((max(start, shift) - shift) * 10**9)}")
        lines.append(f"END={round((last - shift) * 10**9)}")
        lines += [f"{_escaped(key)}={_escaped(value)}" for key, value in tags.items()]
    path = folder / "chapters.ffmetadata"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    place = 1 if plan.source is None else 2
    return ["-f", "ffmetadata", "-i", ffmpeg.url(path), "-map_chapters", str(place)]


def _escaped(text: str) -> str:
    return re.sub(r"([=;#\\\n])", r"\\\1", text)


def _attach(plan: Plan, covers: list[StreamInfo], folder: Path) -> list[str]:
    """Cover art as Matroska keeps it: attached files with the names that players look for."""
    if not covers or plan.source is None:
        return []
    arguments = []
    place = sum(stream.kind == "attachment" for stream in plan.kept)
    with av.open(ffmpeg.url(plan.source), "r", metadata_errors="replace") as file:
        for stream in covers:
            suffix, mimetype = PICTURE_TYPES.get(stream.codec, ("bin", "application/octet-stream"))
            packet = next(file.demux(file.streams[stream.index]))
            path = folder / f"cover{stream.index}.{suffix}"
            path.write_bytes(bytes(packet))
            name = stream.metadata.get("filename", f"cover.{suffix}")
            tags = {**stream.metadata, "mimetype": mimetype, "filename": name}
            arguments += ["-attach", ffmpeg.url(path)]
            for key, value in tags.items():
                arguments += [f"-metadata:s:t:{place}", f"{key}={value}"]
            place += 1
    return arguments
