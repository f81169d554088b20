"""The command: what it makes of a real file, what it refuses, what it says."""

import dataclasses
import itertools
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import av
import imageio_ffmpeg
import jax
import numpy as np
import pytest
from enhancement_samples import Enlarger, plain, random_frames, small_model, small_system
from video_samples import ffmpeg

from supervegan_jax import enhance
from supervegan_jax.enhancement import job as jobs
from supervegan_jax.enhancement.arguments import parse
from supervegan_jax.enhancement.compare import compared_format, compose
from supervegan_jax.enhancement.job import Job, describe, enhance_video, summary
from supervegan_jax.enhancement.options import RunOptions
from supervegan_jax.enhancement.runner import EnhancedFrame, RunStats, enhance_frames
from supervegan_jax.video_input.frames import FrameFormat
from supervegan_jax.video_input.source import open_source
from supervegan_jax.video_input.truncation import BrokenStream
from supervegan_jax.video_output.encoding import CODECS, EncodeOptions
from supervegan_jax.video_output.sink import open_sink
from supervegan_jax.weights import save_model
from supervegan_jax.weights.model_file import LoadedModel

FRAMES = 13


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """13 frames at uneven times with sound."""
    path = tmp_path_factory.mktemp("clip") / "uneven.mkv"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i"]
    command += [f"testsrc2=size=64x48:rate=10,trim=end_frame={FRAMES},setpts=PTS+N*N*0.003/TB"]
    command += ["-f", "lavfi", "-i", "sine=duration=2", "-c:v", "libx264", "-qp", "12"]
    command += ["-fps_mode", "passthrough", "-enc_time_base", "1/1000"]
    command += ["-pix_fmt", "yuv420p", "-c:a", "libopus", str(path)]
    subprocess.run(command, check=True)
    return path


def job_of(clip: Path, output: Path | str, model: LoadedModel, **changes: object) -> Job:
    options = RunOptions(devices=(jax.devices()[0],), tile=1000, batch_size=4)
    encode = EncodeOptions(preset="ultrafast", crf=4, segment_frames=4)
    return dataclasses.replace(Job(str(clip), str(output), model, options, encode), **changes)


def pictures(path: Path) -> tuple[list[float], np.ndarray]:
    """Times, and the stored samples [frames, 3 / 2 h, w], nothing converted."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [frame.time for frame in frames], np.stack([frame.to_ndarray() for frame in frames])


def test_a_file_is_enhanced_frame_by_frame(clip, tmp_path):
    output = tmp_path / "out.mkv"
    stats = enhance_video(job_of(clip, output, plain(Enlarger(scale=2))))
    times, before = pictures(clip)
    new_times, after = pictures(output)
    assert new_times == pytest.approx(times, abs=2e-3)
    assert stats.frames == FRAMES == len(after)
    assert after.shape[1:] == (96 * 3 // 2, 128)
    shrunk = after[:, :96].reshape(FRAMES, 48, 2, 64, 2).mean(axis=(2, 4))
    assert np.abs(shrunk - before[:, :48]).mean() < 1
    assert abs(after[:, 96:].mean() - before[:, 48:].mean()) < 0.5
    with av.open(str(output)) as container:
        assert len(container.streams.audio) == 1
    line = summary(stats)
    assert re.match(
        r"13 frames in [\d.]+ s \([\d.]+ s of it compiling\); [\d.]+ frames/s end to end; "
        r"[\d.]+ frames/s model only$",
        line,
    )


@pytest.mark.parametrize("name", ["supervegan", "tecogan", "mfqe"])
def test_an_interrupted_job_ends_as_the_uninterrupted_one(name, clip, tmp_path, monkeypatch):
    model = {
        "supervegan": partial(small_model, 2),
        "tecogan": partial(small_system, "tecogan", blocks=1, width=4),
        "mfqe": partial(small_system, "mfqe", width=4, dense_layers=1),
    }[name]()
    whole, broken = tmp_path / "whole.mkv", tmp_path / "broken.mkv"
    enhance_video(job_of(clip, whole, model))
    original = jobs.enhance_frames

    def failing(*args, **kwargs):
        for count, frame in enumerate(original(*args, **kwargs)):
            if count == 7:
                raise KeyboardInterrupt
            yield frame

    monkeypatch.setattr(jobs, "enhance_frames", failing)
    with pytest.raises(KeyboardInterrupt):
        enhance_video(job_of(clip, broken, model))
    assert not broken.exists()
    monkeypatch.setattr(jobs, "enhance_frames", original)
    if name == "supervegan":
        floor = dataclasses.replace(model, generator=model.generator.clone(detail_floor=9.0))
        with pytest.raises(ValueError, match=r"work of another run.*detail_floor = 9"):
            enhance_video(job_of(clip, broken, floor))
    stats = enhance_video(job_of(clip, broken, model))
    assert stats.frames == FRAMES - 4
    assert np.array_equal(pictures(whole)[1], pictures(broken)[1])
    assert whole.read_bytes() == broken.read_bytes()


def test_everything_readable_of_a_cut_off_file_is_kept(clip, tmp_path):
    short = tmp_path / "short.mkv"
    short.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])
    output = tmp_path / "out.mkv"
    with pytest.raises(BrokenStream, match=r"at \d+\.\d+ s"):
        enhance_video(job_of(short, output, plain(Enlarger(scale=2))))
    assert 3 < len(pictures(output)[1]) < FRAMES


@pytest.mark.parametrize("layout", ["side-by-side", "split"])
def test_comparing_shows_both_pictures(layout):
    fmt = FrameFormat(24, 16, 10, "420")
    (frame,) = random_frames(1, fmt, 1)
    (other,) = random_frames(1, fmt, 2)
    both = EnhancedFrame(0, 5, frame.planes, bicubic=other.planes)
    out = compose(both, fmt, layout)
    out.check(compared_format(fmt, layout))
    assert (out.index, out.pts) == (0, 5)
    for plane, ours, theirs in zip(out.planes, frame.planes, other.planes, strict=True):
        width = ours.shape[1]
        if layout == "side-by-side":
            assert np.array_equal(plane, np.concatenate([theirs, ours], axis=1))
        else:
            assert np.array_equal(plane[:, : width // 2 - 2], theirs[:, : width // 2 - 2])
            assert np.array_equal(plane[:, width // 2 + 2 :], ours[:, width // 2 + 2 :])
    if layout == "split":
        assert (out.planes[0][:, 10:14] == 940).all()
        assert (out.planes[1][:, 5:7] == 512).all()


@pytest.mark.parametrize("layout", ["side-by-side", "split"])
@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("flipped", [False, True])
def test_a_comparison_is_the_same_however_it_is_stored(layout, quarters, flipped):
    """Turned and mirrored pictures are shown as upright ones are."""
    upright = FrameFormat(24, 16, 8, "420")
    fmt = FrameFormat(16, 24, 8, "420") if quarters % 2 else upright

    def stored(plane):
        return np.ascontiguousarray(np.rot90(plane[:, :: -1 if flipped else 1], -quarters))

    (ours,), (plain_one,) = random_frames(1, upright, 1), random_frames(1, upright, 2)
    pair = [tuple(map(stored, f.planes)) for f in (ours, plain_one)]
    frame = EnhancedFrame(0, 0, pair[0], bicubic=pair[1])
    # What is shown x to the right of the middle: stored, turned by quarters, then mirrored.
    turn = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarters]
    x_factors = [(-v if flipped else v) * 65536 for v in turn]
    matrix = (x_factors[0], 0, 0, x_factors[1], 0, 0, 0, 0, 1 << 30)
    both = compose(frame, fmt, layout, matrix)
    both.check(compared_format(fmt, layout, matrix))
    expected = compose(EnhancedFrame(0, 0, ours.planes, bicubic=plain_one.planes), upright, layout)
    for plane, upright_plane in zip(both.planes, expected.planes, strict=True):
        np.testing.assert_array_equal(plane, stored(upright_plane))


@pytest.mark.parametrize("turned", ["rotation:v:0 90", "rotation:v:0 180", "hflip:v:0"])
def test_players_show_the_enlargement_on_the_left(clip, tmp_path, turned):
    source, output = tmp_path / "turned.mp4", tmp_path / "out.mp4"
    given = [*f"-display_{turned}".split(), "-i", str(clip), "-map", "0:v", "-c", "copy"]
    ffmpeg(*given, str(source))
    opened = open_source(source)
    fmt, matrix = opened.format, opened.picture.display_matrix
    assert matrix is not None
    encode = EncodeOptions(preset="ultrafast", segment_frames=4)
    out = compared_format(fmt, "side-by-side", matrix)
    with open_sink(output, opened, 1, encode, frame_format=out) as sink:
        for frame in itertools.islice(opened.frames(), 2):
            dark = tuple(np.full_like(plane, 30) for plane in frame.planes)
            light = tuple(np.full_like(plane, 200) for plane in frame.planes)
            both = EnhancedFrame(frame.index, frame.pts, light, bicubic=dark)
            sink.write(compose(both, fmt, "side-by-side", matrix))
        sink.close()
    shown = ffmpeg("-i", str(output), "-f", "rawvideo", "-frames:v", "1", "-pix_fmt", "gray", "-")
    size = (64, 96) if "90" in turned else (48, 128)
    picture = np.frombuffer(shown, np.uint8).reshape(size)
    assert picture[:, : size[1] // 2 - 2].max() < 60 < 170 < picture[:, size[1] // 2 + 2 :].min()


def test_a_compared_file_has_the_enlargement_on_the_left(clip, tmp_path):
    output = tmp_path / "both.mkv"
    model = plain(Enlarger(scale=2, kind="bicubic"))
    enhance_video(job_of(clip, output, model, compare="side-by-side", duration=0.5))
    _, frames = pictures(output)
    assert frames.shape[2] == 256
    luma = frames[:, :96].astype(int)
    left, right = luma[:, :, :128], luma[:, :, 128:]
    assert np.abs(left - right).mean() < 1.5


def test_the_command_from_outside(clip, tmp_path):
    model = small_model(2)
    fields = {
        name: getattr(model.generator, name)
        for name in (field.name for field in dataclasses.fields(model.generator))
        if name not in ("parent", "name", "dtype")
    }
    save_model(tmp_path / "tiny", {"name": "supervegan", **fields}, model.params, {}, "float32")
    start = [sys.executable, "-m", "supervegan_jax.enhance"]
    environment = {"JAX_PLATFORMS": "cpu", "PATH": "/usr/bin:/bin"}
    output = tmp_path / "-out 'ü\".mp4"
    command = [*start, str(clip), str(output), "--model", str(tmp_path / "tiny"), "--stage", "a"]
    command += ["--batch-size", "2", "--duration", "0.6"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "frames/s model only" in done.stdout and done.stdout.count("\n") == 1
    assert pictures(output)[1].shape[1:] == (144, 128)
    again = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert again.returncode == 2
    assert again.stderr.startswith("error: ") and again.stderr.count("\n") == 1
    dry = subprocess.run(
        [*command, "--dry-run", "--overwrite"], capture_output=True, text=True, env=environment
    )
    assert dry.returncode == 0
    for text in (
        "tiny: 2x",
        "64x48 yuv420p",
        "128x96",
        "h264, crf 17, preset veryfast",
        "opus",
        "MB a device",
    ):
        assert text in dry.stdout


def test_describing_writes_nothing(clip, tmp_path):
    lines = describe(job_of(clip, tmp_path / "x.mkv", small_model(4)))
    assert any("256x192" in line for line in lines)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "INPUT and OUTPUT are needed; see --help"),
        (["in.mp4"], "INPUT and OUTPUT are needed"),
        (["a", "b", "c"], "unrecognized arguments: c"),
        (["a", "b", "--strength", "much"], "argument --strength: invalid float value: 'much'"),
        (["a", "b", "--strength", "2"], "strength 2.0; 0 to 1 is accepted"),
        (["a", "b", "--stage", "c"], "stage 'c'; 'a' and 'b' are accepted"),
        (["a", "b", "--dtype", "int8"], "dtype 'int8'; accepted are float32, bfloat16"),
        (["a", "b", "--model", "nowhere"], "no model 'nowhere'"),
        (["a", "b", "--tile", "0"], "tile 0; at least 1 is accepted"),
    ],
)
def test_wrong_command_lines_are_one_line(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        enhance.main(arguments)


def test_wrong_inputs_and_outputs_are_refused(clip, tmp_path):
    model = plain(Enlarger(scale=2))
    for source, output, message in [
        (tmp_path / "none.mp4", tmp_path / "o.mkv", "no such file"),
        (clip, tmp_path / "o.txt", "suffix must be one of"),
        (clip, tmp_path / "none" / "o.mkv", "there is no folder"),
        (clip, clip, "uneven.mkv"),
    ]:
        with pytest.raises(ValueError, match=message):
            enhance_video(job_of(source, output, model))
    with pytest.raises(ValueError, match="compare 'stacked'; accepted: side-by-side, split"):
        enhance_video(job_of(clip, tmp_path / "o.mkv", model, compare="stacked"))
    assert clip.stat().st_size > 1000
    assert list(tmp_path.iterdir()) == []


def test_models_are_listed(capsys, tmp_path, monkeypatch):
    model = small_model(2)
    monkeypatch.setattr(
        "supervegan_jax.weights.list_models",
        lambda: {"tiny": {"generator": {"scale": model.scale}, "description": "made up"}},
    )
    enhance.main(["--list-models"])
    assert capsys.readouterr().out == "tiny\t2x\tmade up\n"


def test_the_help_tells_the_defaults(capsys):
    with pytest.raises(SystemExit):
        enhance.main(["--help"])
    said = " ".join(capsys.readouterr().out.split()).replace(" for ", " ")
    for name, codec in CODECS.items():
        assert f"{codec.preset} {name}" in said
        assert f"{codec.crf} {name}" in said


@pytest.mark.parametrize("compare", [None, "split"])
def test_other_samples_are_the_networks_own_not_converted(clip, tmp_path, compare):
    model, out = small_model(2), FrameFormat(128, 96, 8, "444", "smpte170m")
    encode = EncodeOptions(crf=0, pix_fmt="yuv444p")  # lossless
    job = job_of(clip, tmp_path / "out.mkv", model, encode=encode, compare=compare, duration=0.2)
    assert any("128x96 yuv444p" in line for line in describe(job))
    enhance_video(job)
    source, options = open_source(str(clip), None, 0.2), job.options
    if compare:
        options = dataclasses.replace(options, compare=True)
    wanted = enhance_frames(source.frames(), source.format, model, options, out=out)
    stored = list(open_source(str(tmp_path / "out.mkv")).frames())
    for ours, frame in zip(stored, wanted, strict=True):
        expected = compose(frame, out, compare) if compare else frame
        for a, b in zip(ours.planes, expected.planes, strict=True):
            assert np.array_equal(a, b)


def test_the_summary_of_nothing():
    stats = RunStats()
    stats.end()
    assert summary(stats).startswith("0 frames in 0.0 s")


def test_flags_may_be_spelled_as_ffmpeg_spells_them():
    ours = "in.mp4 out.mkv --start 1 --duration 2 --overwrite --codec h265 --crf 20 --preset fast"
    theirs = "in.mp4 out.mkv -ss 1 -t 2 -y -c:v h265 -crf 20 -preset fast -pix_fmt yuv420p"
    expected = parse("", [*ours.split(), "--pix-fmt", "yuv420p"])
    assert parse("", theirs.split()) == expected
    assert parse("", ["a", "b", "--drop", "1,3", "--drop", "4"]).drop == [1, 3, 4]
    apart = "in.mp4 -ss 1 --crf 20 out.mkv -t 2 -y -c:v h265 -preset fast -pix_fmt yuv420p"
    assert parse("", apart.split()) == expected
