import signal
import subprocess
import sys
import time

import pytest
from video_samples import join_videos, make_video


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    place = tmp_path_factory.mktemp("videos")
    scene = [
        make_video(place / f"{name}.mkv", 40, source=name) for name in ("testsrc2", "mandelbrot")
    ]
    join_videos(place / "one.mkv", scene)
    for path in scene:
        path.unlink()
    make_video(place / "two.mkv", frames=60)
    return place


def start(videos, out):
    command = [sys.executable, "-m", "data_prep.prepare", str(videos), "--out", str(out)]
    command += ["--patches", "600", "--patch-size", "40", "--bitrate-kbps", "60", "200"]
    command += ["--holdout-tail", "20%", "--jobs", "1"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def contents(out):
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


# A moment in each stage: a file that is there while the stage is at work, and not before.
MOMENTS = {
    "scenes": "sources/*.json",
    "clips": "clips/*.json",
    "a clip half written": "clips/.*.tmp",
    "encodes": "encodes/*/*_x4.json",
    "an encode half written": "encodes/*/.*.tmp",
    "patches half cut out": "records/parts/.*.tmp/lr.npy",
    "a part": "records/parts/*/part.json",
    "shards moved": "records/*.tfrecord-*",
}


BRIEF = ("an encode half written",)


@pytest.mark.parametrize(
    "moments",
    [pytest.param(BRIEF, id="brief"), pytest.param(MOMENTS, id="all", marks=pytest.mark.slow)],
)
def test_killed_at_any_moment_the_result_is_the_same(videos, tmp_path, moments):
    finish(start(videos, tmp_path / "whole"))
    expected = contents(tmp_path / "whole")

    out = tmp_path / "killed"
    killed = []
    for name in moments:
        process = start(videos, out)
        while process.poll() is None and not any(out.glob(MOMENTS[name])):
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        if process.wait() == -signal.SIGKILL:
            killed.append(name)
        process.stderr.close()
    # Moving the shards takes a millisecond and may be over; every other moment must be met.
    assert set(killed) >= set(moments) - {"shards moved"}
    stamps = {path: path.stat().st_mtime_ns for path in out.glob("*/**/*.mkv")}
    finish(start(videos, out))
    assert contents(out) == expected
    assert stamps and stamps == {path: path.stat().st_mtime_ns for path in stamps}


def finish(process):
    _, said = process.communicate()
    assert process.returncode == 0, said.decode()
