"""Any file in, every frame out at its own time, beside all else that the file holds."""

import itertools
import os
import re
import shutil
from fractions import Fraction

import pytest
from enhance_samples import X264, description, frame_times, make, packets
from test_enhance_io_streams import listing, rich_matroska
from video_samples import ffmpeg

from supervegan_jax.video_input.source import open_source

pytest_plugins = ("enhance_fixtures",)


def test_uneven_times_from_a_later_start_and_two_sounds(run, tmp_path):
    picture, source, output = (tmp_path / name for name in ("p.mkv", "a.mkv", "out.mkv"))
    uneven = "settb=1/1000,setpts=1370+N*40+7*mod(N*N\\,5)"
    passed = ("-fps_mode", "passthrough", "-enc_time_base", "1/1000", "-avoid_negative_ts", "0")
    make(picture, "-vf", uneven, *passed, *X264, frames=17)
    tones = [f"-f lavfi -t 2 -itsoffset {t} -i sine=frequency={f}" for t, f in ((1, 440), (2, 330))]
    ffmpeg(
        *" ".join(tones).split(),
        *("-i", str(picture), "-map", "0", "-map", "1", "-map", "2", "-c:v", "copy", "-copyts"),
        *("-c:a:0", "aac", "-c:a:1", "libopus", "-metadata:s:a:1", "language=deu"),
        *("-avoid_negative_ts", "0", str(source)),
    )
    times = frame_times(source)
    assert len({b - a for a, b in itertools.pairwise(times)}) > 3
    assert times[0] > 1
    done = run(source, output)
    assert frame_times(output) == times
    for stream in ("0", "1"):
        assert packets(output, stream) == packets(source, stream)
    assert re.search(r"Stream #0:1\(deu\).*opus", description(output))
    assert re.match(
        r"17 frames in [\d.]+ s .*; [\d.]+ frames/s end to end; [\d.]+ frames/s model only\n$",
        done.stdout,
    )
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("suffix", "coded", "preset"),
    [
        ("webm", ("-c:v", "libvpx-vp9", "-cpu-used", "8", "-c:a", "libopus"), "8"),
        ("ts", (*X264, "-c:a", "aac"), "ultrafast"),
        ("mov", (*X264, "-c:a", "pcm_s16le"), "ultrafast"),
    ],
)
def test_containers(run, tmp_path, suffix, coded, preset):
    source, output = tmp_path / f"a.{suffix}", tmp_path / f"out.{suffix}"
    make(source, *coded, sound=True, frames=12)
    run(source, output, "--preset", preset, fast=False)
    assert frame_times(output) == frame_times(source)
    assert packets(output, "a:0") == packets(source, "a:0")


def test_a_raw_stream_is_counted(run, tmp_path):
    source = make(tmp_path / "a.h264", *X264, frames=9)
    run(source, tmp_path / "out.mkv")
    assert frame_times(tmp_path / "out.mkv") == [Fraction(n, 25) for n in range(9)]


def test_cover_art_and_the_video_last_in_mp4(run, tmp_path):
    plain, source, output = (tmp_path / name for name in ("p.mp4", "a.mp4", "out.mp4"))
    make(plain, *X264, "-c:a", "aac", sound=True, frames=9)
    ffmpeg("-f", "lavfi", "-i", "color=red:size=32x32", "-frames:v", "1", str(tmp_path / "c.jpg"))
    ffmpeg(
        *("-i", str(plain), "-i", str(tmp_path / "c.jpg"), "-map", "1", "-map", "0:a"),
        *("-map", "0:v", "-c", "copy", "-disposition:v:0", "attached_pic", str(source)),
    )
    run(source, output)
    assert frame_times(output) == frame_times(source)
    assert packets(output, "a:0") == packets(source, "a:0")
    assert re.search(r"Stream #0:2.*mjpeg.*\(attached pic\)", description(output))
    assert re.search(r"Stream #0:1.*h264.*128x96", description(output))


def test_names_that_are_no_text_or_have_a_colon(run, clip, tmp_path):
    name = os.fsdecode(b"caf\xe9.mkv")
    shutil.copy(clip, tmp_path / name)
    # Its standard output takes no such characters.
    told = run(name, "12:30.mp4", "--dry-run", fast=False, cwd=tmp_path)
    assert "caf\\udce9.mkv: 64x48" in told.stdout
    run(name, "--preset", "ultrafast", "12:30.mp4", fast=False, cwd=tmp_path)
    assert frame_times(tmp_path / "12:30.mp4") == frame_times(clip)


@pytest.mark.parametrize(
    ("name", "size", "frames"),
    [("-dash 'q\" ü日.mkv", "35x33", 3), ("new\nline %03d;$HOME.mkv", "64x48", 1)],
)
def test_names_sizes_and_lengths(run, tmp_path, name, size, frames):
    # Only samples without shared chroma are cut at an odd place.
    crop = f"format=yuv444p,crop={size.replace('x', ':')},format=yuv420p"
    source = make(tmp_path / "a.mkv", "-vf", crop, "-c:v", "ffv1", frames=frames)
    source.rename(tmp_path / name)
    run(f"./{name}", f"./-out {name}", cwd=tmp_path)
    output = tmp_path / f"-out {name}"
    assert frame_times(output) == frame_times(tmp_path / name)
    fmt = open_source(output).format
    assert [fmt.width, fmt.height] == [2 * int(side) for side in size.split("x")]


def test_all_else_in_the_file_stays(run, tmp_path):
    rich, source, output = rich_matroska(tmp_path), tmp_path / "turned.mkv", tmp_path / "out.mkv"
    shaped = ("-map", "0", "-c", "copy", "-bsf:v:0", "h264_metadata=sample_aspect_ratio=4/3")
    turned = ("-display_rotation:v:0", "90", "-i", str(rich), *shaped, "-aspect:v:0", "16/9")
    ffmpeg(*turned, str(source))
    run(source, output)
    assert listing(output) == listing(source)
    assert "rotation of 90" in description(output)
    assert "SAR 4:3 DAR 16:9" in description(output)
    for stream in ("a:0", "a:1", "s:0", "s:1"):
        assert packets(output, stream) == packets(source, stream)
