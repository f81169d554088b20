"""`study prepare`: which pairs, that what is shown is what they say, and going on after a stop."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from enhancement_samples import SMALL, small_model
from video_samples import ffmpeg, make_video, raw_frames

from supervegan_jax.enhancement.options import RunOptions
from supervegan_jax.enhancement.runner import enhance_frames
from supervegan_jax.study import __main__ as study
from supervegan_jax.study.folder import read_plan
from supervegan_jax.study.preparation.settings import StudySettings
from supervegan_jax.study.preparation.videos import cut_planes
from supervegan_jax.video.browser import Window, encode_for_browser, luma_psnr
from supervegan_jax.video_input.source import open_source
from supervegan_jax.weights import save_model
from supervegan_jax.weights.load import load_model

BT709 = "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"
LOSSLESS = ("-vf", BT709, "-c:v", "libx264", "-qp", "0", "-preset", "ultrafast")


def settings(**changes) -> StudySettings:
    return StudySettings(**{"clips": (Path("a.mp4"),), "models": ("net",), **changes})


def test_references_around_an_input_bitrate():
    made = settings()
    # 0.4 and 5 times 250 are 100 and 1250.
    assert made.references_for(250) == [150, 250, 350, 500, 750, 1000]
    # 800 to 10000.
    assert made.references_for(2000) == [1000, 1500, 2000, 3000, 4000]
    # None lies between 99 and 110; by ratio 75 (1.32) is nearer than 150 (1.36) and 250.
    narrow = settings(span=(0.99, 1.1))
    assert narrow.references_for(100) == [75, 150, 250]
    assert settings(span=(0.0, 1000.0)).references_for(150) == list(made.reference_kbps)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"clips": ()}, "at least one clip and one model"),
        ({"input_kbps": ()}, "input kbps nothing; at least 1 different"),
        ({"input_kbps": (250, 250)}, "input kbps 250,250; at least 1 different"),
        ({"reference_kbps": (75, 150)}, "reference kbps 75,150; at least 3 different"),
        ({"span": (2.0, 1.0)}, "span 2,1; LOW,HIGH"),
        ({"size": (640, 480)}, "size 640x480; even numbers are accepted, 32x32 to 636x720"),
        ({"size": (101, 100)}, "size 101x100; even numbers"),
        ({"watch_seconds": 0.0}, "watch seconds 0; up to 60"),
        ({"suffix": "avi"}, "video format 'avi'; accepted: mp4, webm"),
        ({"crf": 52}, "crf 52; 0 to 51 is accepted for mp4"),
        ({"max_frames": 0}, "max frames 0; at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        settings(**changes)


def test_a_window_of_planes_is_what_ffmpeg_crops(tmp_path):
    source = make_video(tmp_path / "a.mkv", frames=3, size="64x48", output=LOSSLESS)
    window = Window(6, 10, 40, 20)
    expected = raw_frames(source, filters=window.crop)
    found = b"".join(cut_planes(frame.planes, window) for frame in open_source(source).frames())
    assert found == expected
    with pytest.raises(ValueError, match="window 40x20 at 5,10; even numbers"):
        Window(5, 10, 40, 20)


@pytest.mark.parametrize("suffix", ["mp4", "webm"])
def test_a_browsers_video_is_the_cropped_source_but_for_little(tmp_path, suffix):
    # Without the noise that no encoder keeps.
    source = tmp_path / "a.mkv"
    pattern = "testsrc2=size=160x96:rate=30000/1001,format=yuv420p"
    ffmpeg("-f", "lavfi", "-i", pattern, "-frames:v", "20", *LOSSLESS, f"file:{source}")
    made = tmp_path / f"b.{suffix}"
    window = Window(20, 10, 100, 64)
    told = encode_for_browser(source, made, crf=12, window=window)
    truth = np.frombuffer(raw_frames(source, filters=window.crop), np.uint8)
    found = np.frombuffer(raw_frames(made), np.uint8)
    size = 100 * 64
    assert truth.size == found.size == 20 * size * 3 // 2
    errors = [
        (truth.reshape(20, -1)[:, :size].astype(float) - found.reshape(20, -1)[:, :size]) ** 2
    ]
    psnr = 10 * np.log10(255**2 / np.mean(errors))
    assert told == pytest.approx(psnr, abs=0.02)
    assert psnr > 42
    assert luma_psnr(source, source, 20) == float("inf")
    again = tmp_path / f"c.{suffix}"
    encode_for_browser(source, again, crf=12, window=window)
    assert again.read_bytes() == made.read_bytes()
    if suffix == "mp4":  # can be played before all of it is there
        data = made.read_bytes()
        assert data.index(b"moov") < data.index(b"mdat")


def test_what_cannot_be_shown_is_refused(tmp_path):
    source = make_video(tmp_path / "a.mkv", frames=3, size="64x48", output=LOSSLESS)
    with pytest.raises(ValueError, match="the window of 64x48 at 2,0 leaves it"):
        encode_for_browser(source, tmp_path / "b.mp4", crf=12, window=Window(2, 0, 64, 48))
    plain = make_video(tmp_path / "c.mkv", frames=3, size="64x48")
    with pytest.raises(ValueError, match=r"BT\.709 limited-range yuv420p is needed"):
        encode_for_browser(plain, tmp_path / "b.mp4", crf=12, window=Window(0, 0, 64, 48))
    assert not (tmp_path / "b.mp4").exists()


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("nets") / "tiny"
    fields = {"name": "supervegan", "scale": 2, **SMALL}
    save_model(folder, fields, small_model(scale=2, **SMALL).params, {})
    return str(folder)


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("clips")
    return [
        str(make_video(folder / f"{name}.mkv", frames=12, size="160x96", source=source))
        for name, source in (("one", "testsrc2"), ("two", "mandelbrot"))
    ]


def words(clips: list[str], network: str, folder: Path) -> list[str]:
    flags = ["--input-kbps=100,200", "--reference-kbps=40,100,200,400", "--span=0.9,2.1"]
    flags += ["--crop-size=96x64", "--crop=two:4,8", "--trials=6", "--repeats=1"]
    return ["prepare", str(folder), "--clips", *clips, "--models", network, *flags]


@pytest.fixture(scope="module")
def prepared(clips, network, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("studies") / "s"
    study.main(words(clips, network, folder))
    return folder


def encode_of(folder: Path, clip: str, scale: int, kbps: int) -> Path:
    for path in (folder / "work" / "encodes").glob("*.json"):
        known = json.loads(path.read_text())
        if (known["clip"], known["target_kbps"], known["width"]) == (clip, kbps, 160 // scale):
            return path.with_suffix(".mkv")
    raise AssertionError((clip, scale, kbps))


def test_every_pair_shows_what_it_says(prepared, network):
    plan = read_plan(prepared)
    plain = [pair for pair in plan.pairs.values() if pair.correct is None]
    catches = [pair for pair in plan.pairs.values() if pair.correct is not None]
    # 100: 90 to 210 has two references, so the nearest other by ratio, 400 (1.90), not 40 (2.25).
    ladders = {100.0: {100.0, 200.0, 400.0}, 200.0: {100.0, 200.0, 400.0}}
    for clip in ("one", "two"):
        for kbps, expected in ladders.items():
            found = {p.reference_kbps for p in plain if (p.clip, p.input_kbps) == (clip, kbps)}
            assert found == expected
    assert len(plain) == 12
    assert [(pair.clip, pair.model, pair.reference_kbps) for pair in catches] == [
        ("one", "original", 40.0),
        ("two", "original", 40.0),
    ]
    model = load_model(network)
    options = RunOptions(devices=tuple(jax.local_devices()[:1]))
    corners = {"one": (32, 16), "two": (4, 8)}  # the centre of 160x96, and what was asked for
    for pair in (*plain[:1], *plain[-1:], *catches):
        window = Window(*corners[pair.clip], 96, 64)
        shown = prepared / "media" / pair.reference_video
        encode = encode_of(prepared, pair.clip, 1, int(pair.reference_kbps))
        assert luma_psnr(shown, encode, 12, window.crop) > 38
        known = json.loads(encode.with_suffix(".json").read_text())
        assert pair.reference_measured_kbps == known["measured_kbps"]
        assert (pair.width, pair.height, pair.seconds) == (96, 64, 0.48)
        if pair.correct is not None:
            continue
        source = open_source(encode_of(prepared, pair.clip, 2, int(pair.input_kbps)))
        made = enhance_frames(source.frames(), source.format, model, options)
        truth = np.stack([frame.planes[0] for frame in made])[
            :, window.top : window.top + 64, window.left : window.left + 96
        ]
        video = np.frombuffer(raw_frames(prepared / "media" / pair.model_video), np.uint8)
        luma = video.reshape(12, -1)[:, : 96 * 64].reshape(12, 64, 96)
        error = np.mean((luma.astype(float) - truth) ** 2)
        assert 10 * np.log10(255**2 / error) == pytest.approx(
            plan.video_psnr_db[pair.model_video], abs=0.3
        )
        assert error < 255**2 / 10**3.6


def test_names_and_identifiers_tell_nothing(prepared):
    plan = read_plan(prepared)
    for pair in plan.pairs.values():
        assert set(pair.id) <= set("0123456789abcdef")
    names = {path.name for path in (prepared / "media").iterdir()}
    assert names == set(plan.video_psnr_db)
    for path in (prepared / "media").iterdir():
        data = path.read_bytes()
        for word in (b"tiny", b"kbps", b"two", b"one.mkv"):
            assert word not in data


def test_again_nothing_is_made_twice_and_a_half_made_one_is_finished(
    prepared, clips, network, capsys
):
    before = {path: path.stat().st_mtime_ns for path in prepared.rglob("*.mp4")}
    plan = (prepared / "plan.json").read_bytes()
    (gone, *_) = before
    gone.unlink()
    (prepared / "plan.json").unlink()
    study.main(words(clips, network, prepared))
    after = {path: path.stat().st_mtime_ns for path in prepared.rglob("*.mp4")}
    assert after.pop(gone) != before.pop(gone)
    assert after == before
    assert (prepared / "plan.json").read_bytes() == plan
    assert "12 pairs and 2 catch pairs; 16 observers of 9 trials" in capsys.readouterr().out


def test_another_study_in_the_same_folder_is_refused(prepared, clips, network):
    asked = words(clips, network, prepared)
    with pytest.raises(ValueError, match="holds a study with another input_kbps, seed; take"):
        study.main([*asked, "--input-kbps=100", "--seed=3"])
    plan = read_plan(prepared)
    assert len(plan.pairs) == 14
    assert plan == dataclasses.replace(plan)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--crop=three:0,0"], "crop of clip 'three'; the clips are one, two"),
        (["--crop=one:65,0"], "crop 65,0 of clip one; even numbers up to 64,32"),
        (["--crop=one:5"], "crop 'one:5'; CLIP:X,Y"),
        (["--crop-size=big"], "crop size 'big'; WIDTHxHEIGHT"),
        (["--span=1"], "span '1'; LOW,HIGH"),
        (["--input-kbps=a"], "'a'; whole numbers with commas"),
        (["--trials=13"], "trials 13; such pairs to show: 12"),
        (["--catches=3"], "catches 3; such pairs to show: 2"),
        (["--models=nothing"], "nothing"),
        (["--seed=x"], "argument --seed: invalid int value: 'x'"),
    ],
)
def test_wrong_flags_are_told(clips, network, prepared, tmp_path, more, said):
    # The encodes are there already, so that each of these is told at once.
    workdir = f"--workdir={prepared / 'work'}"
    with pytest.raises(ValueError, match=said):
        study.main([*words(clips, network, tmp_path / "s"), workdir, *more])
    assert not (tmp_path / "s" / "plan.json").exists()
