"""VMAF (Netflix), computed by libvmaf inside the ffmpeg that imageio-ffmpeg carries."""

import itertools
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from supervegan_jax.video import ffmpeg
from supervegan_jax.video.colour import value_range
from supervegan_jax.video.ffmpeg import VideoError
from supervegan_jax.video.probe import VideoInfo, probe

DEFAULT_MODEL = "vmaf_v0.6.1"
# What libvmaf reads; ffmpeg would convert anything else without a word.
_FORMATS = ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le")
# Times are replaced by frame numbers in one time base. Otherwise two containers whose clocks round
# differently would have some frames compared with their neighbours.
_NUMBERED = "settb=1/25,setpts=N"
_SMALLEST_SIDE = 32


def vmaf_of_files(
    distorted: str | os.PathLike[str],
    reference: str | os.PathLike[str],
    *,
    model: str = DEFAULT_MODEL,
    threads: int | None = None,
) -> list[float]:
    """VMAF of every frame; higher is better, 0 to 100. A clip's score is the mean.

    Frames are paired by their order, the first with the first. The luma is compared as it is stored
    at the size it is stored; nothing is scaled or converted, no border is left out.

    Args:
      distorted: a video.
      reference: a video of the same size, pixel format, range and frame count.
      model: a model built into libvmaf, such as "vmaf_v0.6.1" (1080p television, the default),
        "vmaf_v0.6.1neg" (no gain from sharpening) or "vmaf_4k_v0.6.1".
      threads: None takes all cores.

    Returns:
      One score a frame, to six decimals.

    Raises:
      VideoError: a file cannot be read, the two differ in size, pixel format, range, matrix or
        frame count, libvmaf does not read their format, or has no such model.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.]+", model):
        raise VideoError(f"VMAF model {model!r}; accepted: a name such as {DEFAULT_MODEL}")
    if threads is not None and threads < 1:
        raise VideoError(f"threads {threads}; accepted: at least 1")
    first, second = probe(distorted), probe(reference)
    _check_alike(first, second)
    inputs = [["-i", ffmpeg.url(info.path.resolve())] for info in (first, second)]
    return _run(inputs, (distorted, reference), model, threads or os.cpu_count() or 1)


def vmaf_of_frames(
    distorted: Iterable[np.ndarray],
    reference: Iterable[np.ndarray],
    *,
    model: str = DEFAULT_MODEL,
    threads: int | None = None,
) -> list[float]:
    """VMAF of every picture of two sequences, by their 8-bit BT.709 luma on video levels.

    Args:
      distorted: pictures in RGB, uint8, [h, w, 3] each, all of one size.
      reference: as many of the same size.
      model, threads: as in `vmaf_of_files`.

    Returns:
      A score a picture; higher is better, 0 to 100.

    Raises:
      VideoError: unequal shapes or counts, other types, no pictures, sides under 32 pixels, or no
        such model.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.]+", model):
        raise VideoError(f"VMAF model {model!r}; accepted: a name such as {DEFAULT_MODEL}")
    shape: tuple[int, ...] | None = None
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("distorted", "reference")]
        with open(paths[0], "wb") as first, open(paths[1], "wb") as second:
            for pair in itertools.zip_longest(distorted, reference):
                shape = _check_pictures(*pair, shape)
                first.write(_gray_planes(pair[0]))
                second.write(_gray_planes(pair[1]))
        if shape is None:
            raise VideoError("VMAF of no pictures; accepted: at least one")
        options = ["-f", "rawvideo", "-pixel_format", "yuv444p"]
        options += ["-video_size", f"{shape[1]}x{shape[0]}"]
        inputs = [[*options, "-i", ffmpeg.url(path)] for path in paths]
        names = ("the distorted frames", "the reference frames")
        return _run(inputs, names, model, threads or os.cpu_count() or 1)


def _check_pictures(
    x: np.ndarray | None, y: np.ndarray | None, before: tuple[int, ...] | None
) -> tuple[int, ...]:
    """The shape of a pair, which has to be that of the pair before it."""
    if x is None or y is None:
        raise VideoError("VMAF of two sequences of unequal length")
    if len({x.shape, y.shape, before or x.shape}) > 1:
        raise VideoError(f"VMAF of pictures of shapes {x.shape} and {y.shape}: not equal")
    if x.ndim != 3 or x.shape[-1] != 3:
        raise VideoError(f"VMAF of a picture of shape {x.shape}; accepted: [h, w, 3]")
    if x.dtype != np.uint8 or y.dtype != np.uint8:
        raise VideoError(f"VMAF of {x.dtype} and {y.dtype}; accepted: uint8")
    _check_size("the frames", x.shape[1], x.shape[0])
    return x.shape


def _gray_planes(frame: np.ndarray) -> bytes:
    """RGB uint8 [h, w, 3] -> its luma and two planes of no colour."""
    luma = frame @ (np.array([0.2126, 0.7152, 0.0722]) * 219 / 255) + 16
    y = np.round(luma).astype(np.uint8)
    return y.tobytes() + np.full((2, *y.shape), 128, np.uint8).tobytes()


def _check_size(name: object, width: int, height: int) -> None:
    if min(width, height) < _SMALLEST_SIDE:
        raise VideoError(
            f"{name}: {width}x{height}; VMAF takes sides of at least {_SMALLEST_SIDE} pixels"
        )


def _check_alike(first: VideoInfo, second: VideoInfo) -> None:
    """Raises VideoError unless libvmaf compares the stored numbers of two videos rightly."""
    sizes, formats = (
        [
            (f"{i.width}x{i.height}", i.pixel_format.replace("yuvj", "yuv"))[k]
            for i in (first, second)
        ]
        for k in (0, 1)
    )
    ranges = [value_range(info) for info in (first, second)]
    matrices = [info.matrix.replace("bt470bg", "smpte170m") for info in (first, second)]
    found = {"frame size": sizes, "pixel format": formats, "range": ranges}
    if "unknown" not in matrices:
        found["matrix"] = matrices
    for what, (one, other) in found.items():
        if one != other:
            raise VideoError(
                f"VMAF takes videos of one {what}: {first.path} has {one}, {second.path} {other}"
            )
    _check_size(first.path, first.width, first.height)
    if formats[0] not in _FORMATS:
        raise VideoError(
            f"{first.path}: VMAF of pixel format {formats[0]}; accepted: {', '.join(_FORMATS)}"
        )


def _run(
    inputs: list[list[str]], names: tuple[object, object], model: str, threads: int
) -> list[float]:
    graph = (
        f"[0:V:0]{_NUMBERED},split[a][count0];[1:V:0]{_NUMBERED},split[b][count1];"
        f"[a][b]libvmaf=model=version={model}:log_fmt=json:log_path=vmaf.json"
        f":n_threads={threads}:shortest=1[out]"
    )
    command = [ffmpeg.executable(), *ffmpeg.QUIET, *inputs[0], *inputs[1]]
    # The null output would time frames by the streams' rates, which are not those of the numbering.
    command += ["-filter_complex", graph, "-map", "[out]", "-fps_mode", "passthrough"]
    command += ["-enc_time_base", "1/25", "-f", "null", "-"]
    # One line a frame and no pixels: how many frames there were on either side.
    for k in (0, 1):
        command += ["-map", f"[count{k}]", "-c:v", "wrapped_avframe", "-fps_mode", "passthrough"]
        command += ["-f", "framecrc", f"count{k}"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, capture_output=True, check=False, cwd=folder)
        log = Path(folder, "vmaf.json")
        if b"could not load libvmaf model" in done.stderr:
            raise VideoError(f"VMAF model {model!r}: libvmaf has none of that name")
        if done.returncode or done.stderr.strip() or not log.is_file():
            raise VideoError(
                f"VMAF of {names[0]} and {names[1]}: {ffmpeg.first_complaint(done.stderr)}"
            )
        counts = [
            sum(not line.startswith("#") for line in text.splitlines())
            for text in (Path(folder, f"count{k}").read_text() for k in (0, 1))
        ]
        frames = json.loads(log.read_text())["frames"]
    if counts[0] != counts[1]:
        raise VideoError(
            f"VMAF takes videos of equal length: {names[0]} has {counts[0]} frames, {names[1]} "
            f"{counts[1]}"
        )
    if len(frames) != counts[0]:
        raise VideoError(f"VMAF of {names[0]}: {len(frames)} scores for {counts[0]} frames")
    return [float(frame["metrics"]["vmaf"]) for frame in frames]
