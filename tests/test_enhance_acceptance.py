"""The command as a user types it, on real files: what must survive, and what must be refused.

Every run that enhances is a process of its own. Refusals, which need no network, go through the
installed command's function in this process.
"""

import hashlib
import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

import jax
import numpy as np
import pytest
from enhance_samples import PICTURE, description, frame_times, make, packets, planes
from enhancement_samples import small_model
from test_enhance_io_streams import listing, rich_matroska
from video_samples import ffmpeg

from supervegan_jax import enhance
from supervegan_jax.video.ffmpeg import executable
from supervegan_jax.video.source import open_source
from supervegan_jax.weights import save_model

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "12")
LUMA = 96 * 128


def _save(folder: Path, params: dict) -> Path:
    model = small_model(2)
    fields = {
        name: getattr(model.generator, name)
        for name in model.generator.__dataclass_fields__
        if name not in ("parent", "name", "dtype")
    }
    save_model(folder, {"name": "supervegan", **fields}, params, {}, "float32")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Holds the networks and what the compiler made for them, so that it works once."""
    return tmp_path_factory.mktemp("acceptance")


@pytest.fixture(scope="module")
def tiny(folder) -> Path:
    """A network of random numbers."""
    return _save(folder / "tiny", small_model(2).params)


@pytest.fixture(scope="module")
def same(folder) -> Path:
    """A network whose stage A gives its input back."""
    params = small_model(2).params
    for name in ("filters", "residual"):
        params["stage_a"][name] = jax.tree.map(np.zeros_like, params["stage_a"][name])
    params["stage_a"]["filters"]["conv"]["bias"].reshape(4, 25)[:, 12] = 50.0
    return _save(folder / "same", params)


@pytest.fixture(scope="module")
def command(folder, tiny):
    """Makes the arguments and the environment of a run."""
    kept = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
    environment = {
        **kept,
        "PYTHONPATH": os.fspath(Path(__file__).parent.parent),
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": os.fspath(folder / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }

    def build(*words, model=tiny, fast=True) -> dict:
        start = [sys.executable, "-m", "supervegan_jax.enhance", *map(str, words)]
        start += ["--model", os.fspath(model)] if model else []
        start += ["--preset", "ultrafast"] if fast else []
        return {"args": start, "env": environment}

    return build


@pytest.fixture(scope="module")
def run(command):
    """Runs the command; gives back what it printed."""

    def start(*words, code=0, **more) -> subprocess.CompletedProcess[str]:
        chosen = {key: more.pop(key) for key in ("model", "fast") if key in more}
        done = subprocess.run(
            **command(*words, **chosen), capture_output=True, text=True, check=False, **more
        )
        assert done.returncode == code, done.stderr
        return done

    return start


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """20 frames without sound."""
    return make(tmp_path_factory.mktemp("clip") / "a.mkv", *X264, "-qp", "8", frames=20)


def checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def luma(path: Path) -> np.ndarray:
    """Of the 128 x 96 frames of a file, [frames, 96, 128]."""
    stored = planes(path).reshape(-1, LUMA * 3 // 2)
    return stored[:, :LUMA].reshape(-1, 96, 128).astype(float)


# Points 1, 2, 3, 11: times, sound, order of streams, speeds.


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


# Point 3: containers.


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


# Point 4: memory.


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


# Points 5 and 13: tiles, stage, strength.


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


# Points 6, 7, 8: colours, HDR, shape, everything else in the file.


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


# Point 9: kill -9.


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


# Point 10: names, sizes, lengths.


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


# Pipes, parts, comparison, what it would do.


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


# Bad input.


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


@pytest.fixture(scope="module")
def unusable(tmp_path_factory, clip) -> Path:
    """A folder of files that are no videos, or none that can be enhanced."""
    place = tmp_path_factory.mktemp("unusable")
    (place / "empty.mp4").touch()
    (place / "garbage.mkv").write_bytes(np.random.default_rng(0).bytes(5000))
    (place / "text.mp4").write_text("Dear reader,\nthis is no video.\n" * 40)
    (place / "there.mkv").write_text("mine")
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
        ("in.mkv there.mkv --dry-run", "output there.mkv exists already"),
        ("in.mkv none/out.mkv", "there is no folder none"),
        ("in.mkv out.avi", r"the suffix must be one of \.mkv, \.mp4"),
        ("in.mkv out", "the suffix must be one of"),
        ("in.mkv out.mkv --model nowhere", "no model 'nowhere': .*shipped"),
        ("in.mkv out.mkv --model in.mkv", "model 'in.mkv' is a file, but not a .safetensors one"),
        ("in.mkv out.webm --codec h264", "codec h264 does not fit into webm, which holds vp9 or"),
        ("in.mkv out.mkv --codec divx", "codec 'divx': must be one of h264, h265, vp9, av1"),
        ("heard.mkv out.webm", r"stream #1 \(audio, aac\).*does not fit into webm; mkv can hold"),
        ("heard.mkv out.webm --dry-run", r"stream #1 \(audio, aac\).*does not fit into webm"),
        ("heard.mkv out.webm --drop 4", "stream 4 cannot be dropped; those that can are"),
        ("in.mkv out.mkv --crf 52", "crf 52.0: must be 0 to 51 for h264"),
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
