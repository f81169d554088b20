"""Interruptions and bad input: one line is said and nothing of the user is lost."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from enhance_samples import X264, checksum, frame_times, make
from video_samples import ffmpeg

from supervegan_jax import enhance

pytest_plugins = ("enhance_fixtures",)


def test_killed_twice_the_file_is_the_same(run, command, tmp_path):
    source = make(tmp_path / "a.mkv", *X264, "-c:a", "libopus", sound=True, frames=300)
    whole, output = tmp_path / "whole.mkv", tmp_path / "out.mkv"
    run(source, whole)
    for segment in ("000000.segment", "000001.segment"):
        process = subprocess.Popen(
            **command(source, output), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        waited = time.monotonic() + 60
        while not (tmp_path / "out.mkv.partial" / segment).exists():
            assert process.poll() is None and time.monotonic() < waited
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert b"error" not in process.communicate()[1]
        assert process.returncode == -signal.SIGKILL
        assert not output.exists()
    done = run(source, output)
    assert done.stderr == "note: goes on after 240 frames of an earlier run\n"
    assert done.stdout.startswith("60 frames in ")
    assert checksum(output) == checksum(whole)
    assert not (tmp_path / "out.mkv.partial").exists()


@pytest.fixture
def listening():
    """Programs started meanwhile hear Ctrl-C, even if the tests run in a shell's background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("listening")
def test_interrupted_by_hand_it_says_what_is_kept(run, command, tmp_path):
    # Long enough not to be done before the signal arrives.
    source = make(tmp_path / "a.mkv", *X264, frames=1200)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    moments = ("manifest.json", 0, signal.SIGTERM), ("000000.segment", 1, signal.SIGINT)
    for awaited, kept, ended_by in moments:
        process = subprocess.Popen(**command(source, tmp_path / "out.mkv"), **pipes)
        waited = time.monotonic() + 60
        while not (tmp_path / "out.mkv.partial" / awaited).exists():
            assert process.poll() is None and time.monotonic() < waited
            time.sleep(0.005)
        time.sleep(0.0 if kept else 0.5)
        process.send_signal(ended_by)
        said = process.communicate()
        assert process.returncode == 130, said
        assert said[0] == ""
        goes_on = r"interrupted; the same command goes on after the first (\d+) frames\n"
        assert re.fullmatch(goes_on if kept else "interrupted; nothing of it is kept\n", said[1])
    done = run(source, tmp_path / "out.mkv")
    found = re.fullmatch(r"note: goes on after (\d+) frames .*\n", done.stderr)
    assert int(found[1]) % 120 == 0 and found[1] == re.fullmatch(goes_on, said[1])[1]
    assert len(frame_times(tmp_path / "out.mkv")) == 1200


def test_all_that_can_be_read_of_a_cut_off_file(run, clip, tmp_path):
    cut, output = tmp_path / "cut.mkv", tmp_path / "out.mkv"
    cut.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])
    done = run(cut, output, code=2)
    said = r"error: .*cut\.mkv: breaks off at (\d+\.\d+) s.* read is in .*out\.mkv\n$"
    at = re.match(said, done.stderr)
    times = frame_times(output)
    assert 5 < len(times) < 20
    assert times == frame_times(clip)[: len(times)]
    assert float(at[1]) == pytest.approx(float(times[-1]) + 0.04, abs=0.002)


def test_a_full_disk_loses_nothing(run, command, tmp_path):
    source = make(tmp_path / "a.mkv", *X264, "-qp", "8", frames=150)
    before = checksum(source)
    output = tmp_path / "out.mkv"
    limited = ["sh", "-c", 'ulimit -f "$0"; exec "$@"']
    arguments = command(source, output, "--crf", "4")
    counts = []
    # Blocks of 512 bytes: no room for the trial, for a segment, for the joined segments.
    for blocks in ("1", "300", None):
        if blocks is None:
            run(source, tmp_path / "whole.mkv", "--crf", "4")
            blocks = str((tmp_path / "whole.mkv").stat().st_size // 512 - 20)
        words = {**arguments, "args": [*limited, blocks, *arguments["args"]]}
        done = subprocess.run(**words, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert re.match(r"error: .*out\.mkv: File too large.*\n$", done.stderr)
        assert not output.exists()
        counts.append(len(list(tmp_path.glob("*.partial/*.segment"))))
    assert counts == [0, 0, 2]
    run(source, output, "--crf", "4")
    assert checksum(output) == checksum(tmp_path / "whole.mkv")
    assert checksum(source) == before


def test_a_full_pipe_is_one_line(command, clip):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            **command(clip, "-", fast=False), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 2
    assert done.stderr == b"error: standard output: No space left on device\n"


def test_a_folder_in_the_way_loses_nothing(run, clip, tmp_path):
    theirs = tmp_path / "out.mkv.partial" / "chapter" / "one.txt"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("mine")
    for more in (("--start", "100"), ("--overwrite", "--dry-run")):
        done = run(clip, tmp_path / "out.mkv", *more, code=2)
        assert re.fullmatch(r"error: .*partial is needed for .*; move it away\n", done.stderr)
        assert theirs.read_text() == "mine"


@pytest.fixture(scope="module")
def unusable(tmp_path_factory, clip) -> Path:
    """A folder of files that are no videos, or none that can be enhanced."""
    place = tmp_path_factory.mktemp("unusable")
    (place / "empty.mp4").touch()
    (place / "garbage.mkv").write_bytes(np.random.default_rng(0).bytes(5000))
    (place / "text.mp4").write_text("Dear reader,\nthis is no video.\n" * 40)
    (place / "there.mkv").write_text("mine")
    (place / "device.mkv").symlink_to("/dev/null")
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", str(place / "sound.mka"))
    make(place / "fields.mkv", "-vf", "tinterlace=4", *X264, "-x264opts", "tff=1", frames=8)
    encrypted = ("-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "76" * 16)
    encrypted += ("-encryption_kid", "a7" * 16, str(place / "locked.mp4"))
    ffmpeg("-i", str(clip), "-c", "copy", *encrypted)
    make(place / "heard.mkv", *X264, "-c:a", "aac", sound=True, frames=8)
    ffmpeg("-i", str(clip), "-c", "copy", str(place / "in.mkv"))
    return place


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("missing.mp4 out.mkv", "no such file: missing.mp4"),
        ("empty.mp4 out.mkv", "empty.mp4 is empty"),
        (". out.mkv", ". is a folder, not a video file"),
        ("/dev/null out.mkv", "/dev/null is a pipe or a device; - reads standard input"),
        ("garbage.mkv out.mkv", "garbage.mkv is not a video"),
        ("text.mp4 out.mkv", "text.mp4 is not a video"),
        ("sound.mka out.mkv", "sound.mka has no video stream"),
        ("locked.mp4 out.mkv", "locked.mp4.* can be decoded"),
        ("fields.mkv out.mkv", "fields.mkv: its frames are interlaced.*deinterlace it first"),
        ("in.mkv in.mkv", "output in.mkv is the input"),
        ("in.mkv in.mkv --overwrite", "output in.mkv is the input"),
        ("in.mkv there.mkv", "output there.mkv exists already; --overwrite replaces it"),
        ("in.mkv device.mkv", "output device.mkv is a pipe or a device; - writes standard output"),
        ("in.mkv device.mkv -y", "output device.mkv is a pipe or a device"),
        ("in.mkv there.mkv --dry-run", "output there.mkv exists already"),
        ("in.mkv none/out.mkv", "there is no folder none"),
        (f"in.mkv {'n' * 244}.mkv", r"output n*\.mkv: the folder for .* \(File name too long\)"),
        ("in.mkv out.avi", r"the suffix must be one of \.mkv, \.mp4"),
        ("in.mkv out", "the suffix must be one of"),
        ("in.mkv out.mkv --model nowhere", "no model 'nowhere': .*shipped"),
        (
            "in.mkv out.mkv --model in.mkv",
            r"model 'in.mkv' is a file, but not a \.safetensors, \.stablehlo, .*, \.hdf5 one",
        ),
        ("in.mkv out.webm --codec h264", "codec h264 does not fit into webm, which holds vp9 or"),
        ("in.mkv out.mkv --codec divx", "codec 'divx': must be one of h264, h265, vp9, av1"),
        ("heard.mkv out.webm", r"stream #1 \(audio, aac\).*does not fit into webm; mkv can hold"),
        ("heard.mkv out.webm --dry-run", r"stream #1 \(audio, aac\).*does not fit into webm"),
        ("heard.mkv out.webm --drop 4", "stream 4 cannot be dropped; those that can are"),
        ("heard.mkv out.webm --drop 1,4", "stream 4 cannot be dropped; those that can are"),
        ("heard.mkv out.webm --drop 0:1", "--drop: '0:1': numbers of streams are accepted, such"),
        ("heard.mkv out.webm --drop -1", "--drop: '-1': numbers of streams are accepted, such"),
        ("in.mkv out.mkv --crf 52", "crf 52: must be 0 to 51 for h264"),
        ("in.mkv out.webm --crf 24.5", "crf 24.5: must be a whole number for vp9"),
        ("in.mkv out.mkv --crf nan", "crf nan: must be 0 to 51 for h264"),
        ("in.mkv out.mkv --preset warp", "preset 'warp': must be one of ultrafast"),
        ("in.mkv out.mkv --pix-fmt rgb24", "pix_fmt rgb24: h264 stores yuv420p"),
        ("in.mkv out.mkv --tile 3", "tile 3 is too small: this model needs 24 pixels"),
        ("in.mkv out.mkv --tile -3", "tile -3; at least 1 is accepted"),
        ("in.mkv out.mkv --batch-size 0", "batch_size 0; at least 1 is accepted"),
        ("in.mkv out.mkv --batch-size 99999999", "batch_size 99999999; at most 1024 is accepted"),
        ("in.mkv out.mkv --strength 1.01", "strength 1.01; 0 to 1 is accepted"),
        ("in.mkv out.mkv --strength nan", "strength nan; 0 to 1 is accepted"),
        ("in.mkv out.mkv --compare both", "compare 'both'; accepted: side-by-side, split"),
        ("in.mkv out.mkv --start 99", "in.mkv: no frame lies in the selected time"),
        ("in.mkv out.mkv --start -1", "start -1.0: must be 0 or more seconds"),
        ("in.mkv out.mkv --start 1:2:3:4", "argument --start/-ss: '1:2:3:4': seconds are accepted"),
        ("in.mkv out.mkv --start nan", "start nan: must be 0 or more seconds"),
        ("in.mkv out.mkv --start 1e300", "start 1e[+]300: must be 0 or more seconds"),
        ("in.mkv out.mkv --duration 0", "duration 0.0: must be more than 0 seconds"),
        ("in.mkv out.mkv --duration inf", "duration inf: must be more than 0 seconds"),
    ],
)
def test_refusals_are_one_line(unusable, tiny, monkeypatch, capfd, words, message):
    before = {path.name: checksum(path) for path in unusable.iterdir()}
    monkeypatch.chdir(unusable)
    model = () if "--model" in words else ("--model", str(tiny))
    monkeypatch.setattr(sys, "argv", ["supervegan-enhance", *words.split(), *model])
    with pytest.raises(SystemExit) as ended:
        enhance.command()
    printed = capfd.readouterr()
    assert ended.value.code == 2
    assert printed.out == ""
    assert re.match(rf"error: .*{message}.*\n$", printed.err)
    assert printed.err.count("\n") == 1
    assert {path.name: checksum(path) for path in unusable.iterdir()} == before
