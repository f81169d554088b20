"""An interrupted run goes on where it was, and the file is the same byte for byte."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from enhance_samples import FAST, VARIABLE, X264, checksum, enhance, frame_times, make, repeat

from supervegan_jax.video_input.source import open_source
from supervegan_jax.video_output import mux
from supervegan_jax.video_output.encoding import EncodeOptions
from supervegan_jax.video_output.segments import decoding_times
from supervegan_jax.video_output.sink import open_sink

# Enhances slowly, and says after which frame it is.
SLOW = """
import sys, time
sys.path.insert(0, sys.argv[1])
from enhance_samples import FAST, repeat
from supervegan_jax.video_output.encoding import EncodeOptions
from supervegan_jax.video_output.sink import open_sink
from supervegan_jax.video_input.source import open_source
source = open_source(sys.argv[2])
options = EncodeOptions(codec=sys.argv[4], segment_frames=6, threads=2)
with open_sink(sys.argv[3], source, 2, options) as sink:
    for frame in source.frames(sink.finished_frames):
        sink.write(repeat(frame, source.format.scaled(2), 2))
        print(frame.index, flush=True)
        time.sleep(0.02)
    print("closing", flush=True)
    sink.close()
"""


@pytest.mark.parametrize(
    ("codec", "name"),
    [("h264", "out.mkv"), ("h264", "out.mp4"), ("h265", "out.ts"), ("vp9", "out.webm")],
)
def test_killed_at_any_frame_the_file_is_the_same(tmp_path, codec, name, request):
    sound = ("-c:a", "libopus") if "webm" in name else ("-c:a", "aac")
    picture = () if "ts" in name else ("-vf", VARIABLE, "-fps_mode", "passthrough")
    source = make(tmp_path / "a.mkv", *picture, *X264, *sound, sound=True)
    whole, output = tmp_path / f"whole-{name}", tmp_path / name
    options = EncodeOptions(codec=codec, segment_frames=6, threads=2)
    enhance(source, whole, options)
    command = [
        sys.executable,
        "-c",
        SLOW,
        str(request.path.parent),
        str(source),
        str(output),
        codec,
    ]
    first = []
    for stop in ("2", "8", "20", "closing"):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            said = iter(process.stdout.readline, "")
            first.append(next(said).strip())
            while first[-1] != stop and (line := next(said, "")) and line.strip() != stop:
                pass
            process.send_signal(signal.SIGKILL)
        assert not output.exists() or stop == "closing"
    assert first == ["0", "0", "6", "18"]
    if not output.exists():
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        assert done.stdout.split()[0] in ("24", "closing")
    assert checksum(output) == checksum(whole)
    assert len(frame_times(output)) == 25
    assert not (tmp_path / f"{name}.partial").exists()


def interrupted(source_path, output, options=FAST, frames=13, **more):
    source = open_source(source_path)
    with open_sink(output, source, 2, options, **more) as sink:
        for frame in source.frames():
            if frame.index == frames:
                return sink
            sink.write(repeat(frame, source.format.scaled(2), 2))
    return None


def test_work_with_other_options_is_neither_used_nor_thrown_away(tmp_path):
    source, output = make(tmp_path / "a.mkv", *X264), tmp_path / "out.mkv"
    interrupted(source, output, job={"model": "a"})
    kept = sorted(path.name for path in (tmp_path / "out.mkv.partial").iterdir())
    assert kept == ["000000.segment", "lock", "manifest.json"]
    with pytest.raises(ValueError, match=r'another run \(model "a" instead of "b"\); give'):
        enhance(source, output, job={"model": "b"})
    other = EncodeOptions(preset="ultrafast", segment_frames=10, crf=30)
    with pytest.raises(ValueError, match=r"crf 17.0 instead of 30.0.*--overwrite to start again"):
        enhance(source, output, other, job={"model": "a"})
    os.utime(source, (1, 1))
    with pytest.raises(ValueError, match="unfinished work of another run"):
        enhance(source, output, job={"model": "a"})
    assert sorted(path.name for path in (tmp_path / "out.mkv.partial").iterdir()) == kept
    enhance(source, output, job={"model": "b"}, overwrite=True)
    assert len(frame_times(output)) == 25


def test_a_name_without_a_suffix_is_gone_on_with_even_from_the_end(tmp_path, monkeypatch):
    source, output = make(tmp_path / "a.mkv", *X264), tmp_path / "out"

    def killed(plan, video, finished):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(mux, "shift_notes", killed)
        with pytest.raises(KeyboardInterrupt):
            enhance(source, output, output_format="mp4")
    assert (tmp_path / "out.partial" / "finished.mp4").exists()
    assert enhance(source, output, output_format="mp4") is None
    assert len(frame_times(output)) == 25 and not (tmp_path / "out.partial").exists()


def test_a_resumed_run_tells_which_frame_comes_next(tmp_path):
    source, output = make(tmp_path / "a.mkv", *X264), tmp_path / "out.mkv"
    assert interrupted(source, output, frames=5).finished_frames == 0
    assert not (tmp_path / "out.mkv.partial").exists()  # no segment was finished
    interrupted(source, output, frames=13)
    with open_sink(output, open_source(source), 2, FAST) as sink:
        assert sink.finished_frames == 10
        # The other process's lock.
        with pytest.raises(ValueError, match="another process is writing this output"):
            enhance(source, output)
    # A number of threads is not a choice about the picture; the first run's is kept.
    other = EncodeOptions(preset="ultrafast", segment_frames=10, threads=1)
    enhance(source, output, other)
    enhance(source, tmp_path / "whole.mkv", FAST)
    assert checksum(output) == checksum(tmp_path / "whole.mkv")


def test_a_damaged_folder_of_segments_loses_only_what_is_behind(tmp_path):
    source, output = make(tmp_path / "a.mkv", *X264), tmp_path / "out.mkv"
    interrupted(source, output, frames=22)
    (tmp_path / "out.mkv.partial" / "000000.segment").unlink()
    enhance(source, output)
    enhance(source, tmp_path / "whole.mkv")
    assert checksum(output) == checksum(tmp_path / "whole.mkv")


@pytest.mark.parametrize(
    ("codec", "preset"),
    [("h264", None), ("h265", None), ("vp9", None), ("vp9", "8"), ("av1", None)],
)
def test_encoders_repeat_themselves(tmp_path, codec, preset):
    """With threads, and under a load that changes their timing."""
    source = make(tmp_path / "a.mkv", *X264, frames=12)
    sums = set()
    for turn in range(3):
        output = tmp_path / f"{turn}.mkv"
        load = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if turn else None
        options = EncodeOptions(codec=codec, preset=preset, segment_frames=8, threads=3)
        enhance(source, output, options, scale=4)
        if load is not None:
            load.kill()
            load.wait()
        sums.add(checksum(output))
    assert len(sums) == 1


def test_a_full_disk_keeps_the_finished_segments(tmp_path, monkeypatch):
    source, output = make(tmp_path / "a.mkv", *X264), tmp_path / "out.mkv"
    real, calls = os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 2:  # the trial's and the first segment's
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        enhance(source, output)
    assert not output.exists()
    monkeypatch.undo()
    with open_sink(output, open_source(source), 2, FAST) as sink:
        assert sink.finished_frames == 10
    enhance(source, output)
    assert len(frame_times(output)) == 25


def test_decoding_times_by_hand():
    # Shown 0 10 30 35; decoded in the order 0 35 10 30: frames wait for one other at most.
    times = decoding_times(np.array([0, 10, 30, 35]), np.array([0, 35, 10, 30]), 99)
    assert times.tolist() == [-10, 0, 10, 30]
    times = decoding_times(np.array([0, 10, 30, 35]), np.array([0, 35, 10, 30]), 4)
    assert times.tolist() == [-4, 0, 10, 30]
    assert decoding_times(np.array([5]), np.array([5]), 99).tolist() == [5]
    assert decoding_times(np.array([5, 6]), np.array([5, 6]), 0).tolist() == [5, 6]


def test_an_output_made_meanwhile_is_not_replaced(tmp_path):
    source, output = make(tmp_path / "a.mkv", *X264), tmp_path / "out.mkv"
    opened = open_source(source)
    with open_sink(output, opened, 2, FAST) as sink:
        for frame in opened.frames():
            sink.write(repeat(frame, opened.format.scaled(2), 2))
        output.write_text("precious")
        with pytest.raises(ValueError, match=r"out.mkv has been made meanwhile; --overwrite"):
            sink.close()
    assert output.read_text() == "precious"
    with open_sink(output, open_source(source), 2, FAST, overwrite=True) as sink:
        assert sink.finished_frames == 20
    enhance(source, output, overwrite=True)
    assert len(frame_times(output)) == 25


def test_constant_memory_in_the_number_of_frames(tmp_path):
    """The frames of a long video are not held: at most a segment's packets are."""
    import tracemalloc

    peaks = []
    for frames in (30, 300):
        source = make(tmp_path / f"{frames}.mkv", *X264, frames=frames)
        tracemalloc.start()
        started = time.monotonic()
        enhance(source, tmp_path / f"out{frames}.mkv")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert time.monotonic() - started < 60
    assert peaks[1] < peaks[0] * 1.05 + 200_000
