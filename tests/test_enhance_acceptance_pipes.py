"""Pipes, parts of a video, comparison, and what the command would do."""

import re
import subprocess
import threading
from fractions import Fraction

from enhance_samples import PICTURE, VARIABLE, X264, description, frame_times, make, packets
from video_samples import ffmpeg

from supervegan_jax.video.ffmpeg import executable

pytest_plugins = ("enhance_fixtures",)


def test_frames_come_out_of_a_pipe_before_the_input_ends(command):
    raw = ("-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe", "-")
    stream = ffmpeg("-f", "lavfi", "-i", PICTURE, "-frames:v", "9", *raw)
    head, *frames = stream.split(b"FRAME\n")
    arguments = command("-", "-", "--batch-size", "2", fast=False)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(**arguments, **pipes) as process:
        watchdog = threading.Timer(120, process.kill)
        watchdog.start()
        out = b""
        process.stdin.write(head)
        for number, frame in enumerate(frames):
            process.stdin.write(b"FRAME\n" + frame)
            process.stdin.flush()
            # With batches of 2 a frame waits for the 3 behind it at most.
            if number % 2 and number >= 3:
                out += process.stdout.readline() if number == 3 else b""
                out += process.stdout.read(2 * (6 + 4 * len(frame)))
        assert out.count(b"FRAME\n") == 6
        process.stdin.close()
        out += process.stdout.read()
        said = process.stderr.read()
        watchdog.cancel()
    assert process.returncode == 0
    assert said.startswith(b"9 frames in ")
    decoded = ffmpeg("-f", "yuv4mpegpipe", "-i", "-", "-f", "rawvideo", "-", stdin=out)
    assert len(decoded) == 9 * 128 * 96 * 3 // 2


def test_a_row_of_three_programs(command, clip):
    ours = command("-", "-", "--stage", "a", fast=False)
    start = [executable(), "-v", "error"]
    first = [*start, "-i", str(clip), "-f", "yuv4mpegpipe", "-"]
    last = [*start, "-f", "yuv4mpegpipe", "-i", "-", "-f", "framecrc", "-"]
    with (
        subprocess.Popen(first, stdout=subprocess.PIPE) as a,
        subprocess.Popen(
            **ours, stdin=a.stdout, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as b,
        subprocess.Popen(last, stdin=b.stdout, stdout=subprocess.PIPE) as c,
    ):
        listed = c.communicate()[0].decode()
    assert (a.wait(), b.wait(), c.returncode) == (0, 0, 0)
    assert "#dimensions 0: 128x96" in listed
    assert len([line for line in listed.splitlines() if line.startswith("0,")]) == 20


def test_raw_samples_through_both_pipes(command, clip):
    raw = ffmpeg("-i", str(clip), "-f", "rawvideo", "-")
    words = "- - -f rawvideo --video-size 64x48 --framerate 30 --output-format rawvideo --stage a"
    arguments = command(*words.split(), fast=False)
    done = subprocess.run(**arguments, input=raw[:-7], capture_output=True, check=False)
    assert done.returncode == 2
    assert len(done.stdout) == 19 * 128 * 96 * 3 // 2
    assert done.stderr == (
        b"note: standard output is 128x96 yuv420p, 30 frames/s\n"
        b"error: standard input: breaks off at 0.633 s\n"
    )


def test_uneven_times_on_the_way_to_samples_are_told(command, tmp_path):
    uneven = ("-vf", VARIABLE, "-fps_mode", "passthrough", "-enc_time_base", "1/600")
    source = make(tmp_path / "a.mkv", *uneven, *X264, frames=9)
    done = subprocess.run(**command(source, "-", fast=False), capture_output=True, check=True)
    note, summary = done.stderr.decode().splitlines()
    assert re.match(r"note: y4m has no timestamps: from \d.\d+ s on frames are not ", note)
    assert summary.startswith("9 frames in ")
    assert done.stdout.count(b"FRAME\n") == 9


def test_sound_and_picture_on_standard_output(command, tmp_path):
    source = make(tmp_path / "a.mkv", *X264, "-c:a", "aac", sound=True, frames=9)
    arguments = command(source, "-", "--output-format", "matroska", "--stage", "a")
    done = subprocess.run(**arguments, capture_output=True, check=True)
    assert done.stderr.startswith(b"9 frames in ")
    (tmp_path / "out.mkv").write_bytes(done.stdout)
    assert frame_times(tmp_path / "out.mkv") == frame_times(source)
    assert packets(tmp_path / "out.mkv", "a:0") == packets(source, "a:0")


def test_a_compared_part(run, clip, tmp_path):
    output = tmp_path / "out.mkv"
    run(clip, output, "--compare", "side-by-side", "--start", "0.2", "--duration", "0.32")
    kept = [t for t in frame_times(clip) if Fraction("0.2") <= t < Fraction("0.52")]
    assert frame_times(output) == [t - kept[0] for t in kept]
    assert len(kept) == 8
    assert ", 256x96" in description(output)


def test_the_models_are_listed_and_the_work_is_told(run, clip, tmp_path):
    listed = run("--list-models", model=None, fast=False)
    assert all("x\t" in line for line in listed.stdout.splitlines())
    told = run(clip, tmp_path / "out.webm", "--dry-run", fast=False)
    for text in ("tiny: 2x", "64x48 yuv420p", "128x96", "vp9, crf 24", "no other streams"):
        assert text in told.stdout
    assert list(tmp_path.iterdir()) == []
    heard = make(tmp_path / "heard.mkv", *X264, "-c:a", "aac", sound=True, frames=8)
    told = run(heard, tmp_path / "out.webm", "--dry-run", "--drop", "1", fast=False)
    assert "no other streams" in told.stdout
