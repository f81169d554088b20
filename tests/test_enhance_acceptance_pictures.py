"""The picture as the command leaves it: tiles, stages, colours, depth, shape; and its memory."""

import itertools
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from enhance_samples import PICTURE, X264, checksum, description, frame_times, make, planes
from video_samples import ffmpeg

from supervegan_jax.video_input.source import open_source

pytest_plugins = ("enhance_fixtures",)

LUMA = 96 * 128


def luma(path: Path) -> np.ndarray:
    """Of the 128 x 96 frames of a file, [frames, 96, 128]."""
    stored = planes(path).reshape(-1, LUMA * 3 // 2)
    return stored[:, :LUMA].reshape(-1, 96, 128).astype(float)


@pytest.mark.slow
def test_ten_times_the_length_takes_the_same_memory(command, tmp_path):
    pattern = PICTURE.replace("64x48", "256x192")
    peaks = []
    for frames in (40, 400):
        source, output = tmp_path / f"{frames}.mkv", tmp_path / f"out{frames}.mkv"
        ffmpeg("-f", "lavfi", "-i", pattern, "-frames:v", str(frames), *X264, str(source))
        arguments = command(source, output, "--stage", "a")
        process = subprocess.Popen(**arguments, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        assert len(frame_times(output)) == frames
        peaks.append(usage.ru_maxrss)
    assert peaks[1] < 1.05 * peaks[0]


@pytest.mark.slow
def test_tiles_stages_and_strengths(run, clip, tmp_path):
    def enhanced(name, *options):
        run(clip, tmp_path / name, "--crf", "0", *options)
        return tmp_path / name

    whole = enhanced("whole.mkv")
    assert checksum(enhanced("tiled.mkv", "--tile", "58")) == checksum(whole)
    stage_a = enhanced("a.mkv", "--stage", "a")
    assert checksum(enhanced("0.mkv", "--strength", "0")) == checksum(stage_a)
    half = luma(enhanced("half.mkv", "--strength", "0.5"))
    ours, theirs = luma(whole), luma(stage_a)
    assert np.abs(ours - theirs).mean() > 2
    middle = (ours + theirs) / 2
    inside = (np.minimum(ours, theirs) > 20) & (np.maximum(ours, theirs) < 230)
    assert np.abs(half - middle)[inside].mean() < 1


@pytest.mark.parametrize("value_range", ["tv", "pc"])
@pytest.mark.parametrize("matrix", ["smpte170m", "bt709"])
def test_colours_do_not_shift(run, same, tmp_path, matrix, value_range):
    smooth = "geq=lum='60+X*1.9+Y':cb='90+X':cr='170-Y*1.5'"
    tags = f"setparams=colorspace={matrix}:range={value_range}:color_primaries=bt709"
    source, output = tmp_path / "a.mkv", tmp_path / "out.mkv"
    make(source, "-vf", f"{smooth},{tags}", *X264, "-qp", "0", frames=5)
    run(source, output, "--strength", "0", "--crf", "1", model=same)
    before = planes(source).reshape(5, -1).astype(float)
    after = planes(output).reshape(5, -1).astype(float)
    ends = np.cumsum([0, 64 * 48, 32 * 24, 32 * 24])
    for first, last in itertools.pairwise(ends):
        ours = after[:, 4 * first : 4 * last].mean()
        assert abs(ours - before[:, first:last].mean()) < 0.5
    assert re.search(rf"yuvj?420p\({value_range}, {matrix}/bt709/", description(output))


def test_ten_bits_and_their_tags_stay(run, tmp_path):
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    hdr = f"hdr10=1:master-display={display}:max-cll=1000,400:log-level=error"
    tags = "setparams=range=tv:colorspace=bt2020nc:color_primaries=bt2020:color_trc=smpte2084"
    source, output = tmp_path / "a.mkv", tmp_path / "out.mkv"
    coded = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", hdr)
    make(source, "-vf", f"format=yuv420p10le,{tags}", *coded, frames=6)
    run(source, output)
    assert "yuv420p10le(tv, bt2020nc/bt2020/smpte2084" in description(output)
    picture = open_source(output).picture
    assert (picture.mastering_display, picture.content_light) == (display, (1000, 400))
