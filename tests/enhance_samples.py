"""A stand-in for enhancement (each sample repeated), and what ffmpeg itself says about a file."""

import dataclasses
import hashlib
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
from video_samples import ffmpeg

from supervegan_jax.video_input.frames import FrameFormat, VideoFrame
from supervegan_jax.video_input.source import open_source
from supervegan_jax.video_input.truncation import BrokenStream
from supervegan_jax.video_output.encoding import EncodeOptions
from supervegan_jax.video_output.sink import open_sink

PICTURE = "testsrc2=size=64x48:rate=25,noise=alls=6:allf=t:all_seed=1,format=yuv420p"
SOUND = "sine=frequency=440:sample_rate=48000"
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "12")
FAST = EncodeOptions(preset="ultrafast", segment_frames=10, threads=2)
# Frames whose distances vary from 12 to 40 ticks of 1/600 s, the first one not at 0.
VARIABLE = "settb=1/600,setpts=50+N*24+4*mod(N*N\\,5)"


def repeat(frame: VideoFrame, fmt: FrameFormat, scale: int) -> VideoFrame:
    """`scale` times as wide and high, every sample a square."""
    planes = [p.repeat(scale, 0).repeat(scale, 1) for p in frame.planes]
    cut = [p[:h, :w] for p, (h, w) in zip(planes, fmt.plane_shapes, strict=True)]
    return dataclasses.replace(frame, planes=tuple(np.ascontiguousarray(p) for p in cut))


def enhance(
    path,
    output,
    options: EncodeOptions = FAST,
    scale: int = 2,
    start=None,
    duration=None,
    raw=None,
    **more,
) -> BrokenStream | None:
    """Runs a whole file through source and sink; gives back the failure in mid-stream, if any."""
    source = open_source(path, start, duration, raw)
    fmt = source.format.scaled(scale)
    broken = None
    with open_sink(output, source, scale, options, **more) as sink:
        try:
            for frame in source.frames(sink.finished_frames):
                sink.write(repeat(frame, fmt, scale))
        except BrokenStream as error:
            broken = error
        sink.close()
    return broken


def make(path: Path, *arguments: str, frames: int = 25, sound: bool = False) -> Path:
    """A small clip with a moving picture; `arguments` end with its codecs."""
    inputs = ["-f", "lavfi", "-i", PICTURE]
    if sound:
        inputs += ["-f", "lavfi", "-t", str(frames / 25), "-i", SOUND]
    output = arguments or ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2")
    ffmpeg(*inputs, "-frames:v", str(frames), *output, f"file:{path}")
    return path


def rows(listing: bytes) -> tuple[Fraction, list[list[str]]]:
    """Time base of stream 0 and the rows of ffmpeg's framecrc listing."""
    text = listing.decode()
    base = Fraction(re.search(r"^#tb 0: (\S+)", text, re.MULTILINE)[1])
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return base, [[field.strip() for field in line.split(",")] for line in lines]


def frame_times(path) -> list[Fraction]:
    """Seconds at which each decoded frame of the video is shown."""
    listing = ffmpeg(
        *("-copyts", "-i", f"file:{path}", "-map", "0:V:0", "-fps_mode", "passthrough"),
        *("-enc_time_base", "demux", "-f", "framecrc", "-"),
    )
    base, found = rows(listing)
    return [int(row[2]) * base for row in found]


def packets(path, stream: str) -> list[tuple[Fraction, str, str]]:
    """Time, size and checksum of each packet of a stream."""
    copied = ["-map", f"0:{stream}", "-c", "copy", "-f", "framecrc", "-"]
    base, found = rows(ffmpeg("-copyts", "-i", f"file:{path}", *copied))
    return [(int(row[2]) * base, row[4], row[5]) for row in found]


def planes(path, filters: str = "null", pixel_format: str = "yuv420p") -> np.ndarray:
    """All samples of the decoded video, in one row."""
    output = ["-vf", filters, "-f", "rawvideo", "-pix_fmt", pixel_format, "-"]
    decoded = ffmpeg(
        "-noautorotate", "-i", f"file:{path}", "-map", "0:V:0", "-fps_mode", "passthrough", *output
    )
    return np.frombuffer(decoded, np.uint16 if "10" in pixel_format else np.uint8)


def description(path) -> str:
    """What ffmpeg prints about a file when it opens it."""
    import subprocess

    from supervegan_jax.video.ffmpeg import executable

    command = [executable(), "-hide_banner", "-v", "verbose", "-i", f"file:{path}"]
    return subprocess.run(command, capture_output=True, check=False).stderr.decode()


def checksum(path: Path) -> str:
    """Of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
