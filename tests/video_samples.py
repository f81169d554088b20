"""Small videos that the tests of video and data_prep make for themselves."""

import subprocess
from fractions import Fraction
from pathlib import Path

from supervegan_jax.video.ffmpeg import executable


def ffmpeg(*arguments: str, stdin: bytes | None = None) -> bytes:
    """Runs ffmpeg directly, past the code under test; returns stdout."""
    done = subprocess.run(
        [executable(), "-v", "error", "-y", *arguments],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def make_video(
    path: Path,
    frames: int = 20,
    size: str = "320x180",
    fps: str = "25",
    source: str = "testsrc2",
    output: tuple[str, ...] = ("-c:v", "libx264", "-qp", "0", "-preset", "ultrafast"),
) -> Path:
    """Writes a moving test picture with a little noise, lossless unless told otherwise."""
    pattern = f"{source}=size={size}:rate={fps},noise=alls=6:allf=t:all_seed=1,format=yuv420p"
    # Matroska files have a random identifier otherwise, and clips are named after a checksum.
    output_options = ["-frames:v", str(frames), *output, "-fflags", "+bitexact", f"file:{path}"]
    ffmpeg("-f", "lavfi", "-i", pattern, *output_options)
    return path


def measure_kbps(path: Path, fps: float | Fraction) -> float:
    """The bitrate of a Matroska file's video in kbit/s: the bytes of its packets over the time."""
    listing = ffmpeg("-i", f"file:{path}", "-map", "0:v:0", "-c", "copy", "-f", "framecrc", "-")
    rows = [row.split(b",") for row in listing.splitlines() if not row.startswith(b"#")]
    return float(sum(int(row[4]) for row in rows) * 8 * fps / len(rows) / 1000)


def join_videos(path: Path, parts: list[Path]) -> Path:
    """Writes the videos one after the other, without a loss."""
    inputs = [word for part in parts for word in ("-i", f"file:{part}")]
    streams = "".join(f"[{i}:v]" for i in range(len(parts)))
    lossless = ["-c:v", "libx264", "-qp", "0", "-preset", "ultrafast", "-fflags", "+bitexact"]
    joined = f"{streams}concat=n={len(parts)}[v]"
    ffmpeg(*inputs, "-filter_complex", joined, "-map", "[v]", *lossless, f"file:{path}")
    return path


def raw_frames(path: Path, pixel_format: str = "yuv420p", filters: str = "null") -> bytes:
    """All decoded samples, past the code under test."""
    output = ["-vf", filters, "-f", "rawvideo", "-pix_fmt", pixel_format, "-"]
    return ffmpeg("-i", f"file:{path}", "-fps_mode", "passthrough", *output)
