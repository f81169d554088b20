"""`evaluate protocol`: NTIRE 2021, AIM 2024 and Vid4 on small folders of their layouts."""

import json
import math
import re
from fractions import Fraction
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import video_samples
from PIL import Image
from protocol_samples import (
    aim,
    decoded,
    kept_input,
    kept_truth,
    ntire,
    run_protocol,
    scores_of,
    tiny_networks,
    vid4_pictures,
)
from video_samples import make_video, measure_kbps

from supervegan_jax.benchmarking.counts import count_parameters
from supervegan_jax.evaluation.comparison import ScoreOptions, compare
from supervegan_jax.evaluation.scoring import Scorer
from supervegan_jax.ops.resize import downsample_bicubic, upsample_bicubic
from supervegan_jax.protocols import aim2024, catalogue, ntire2021, vid4
from supervegan_jax.protocols.job import _scored
from supervegan_jax.rate_distortion.measure import Scoring, _kept_pictures
from supervegan_jax.video import ffmpeg
from supervegan_jax.video.encoder import encode
from supervegan_jax.video.probe import probe
from supervegan_jax.video.vmaf import vmaf_of_files
from supervegan_jax.weights import load_model


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> dict[str, str]:
    """Of scale 1 and 4."""
    return tiny_networks(tmp_path_factory.mktemp("models"), "tiny1", "tiny4")


# NTIRE 2021, track 3


def test_two_passes_meet_200_kbit_a_second(tmp_path):
    source = make_video(tmp_path / "long.mkv", frames=100, size="192x112")
    done = encode(source, tmp_path / "out.mkv", ntire2021.ENCODING)
    assert done.measured_kbps == pytest.approx(200, rel=0.05)
    assert (done.target_kbps, done.frame_count) == (200, 100)
    assert done.command.count("&&") == 1
    assert any(word.endswith(":pass=2") for word in done.command)
    # Untagged and small, so BT.601 by the rule; the samples keep that matrix.
    assert probe(done.path).matrix == "smpte170m"
    assert {path.name for path in tmp_path.iterdir()} == {"long.mkv", "out.mkv"}
    encode(source, tmp_path / "again.mkv", ntire2021.ENCODING)
    assert (tmp_path / "again.mkv").read_bytes() == (tmp_path / "out.mkv").read_bytes()


def test_an_encoder_that_is_not_there_is_said_to_be_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(ffmpeg, "encoders", lambda: frozenset({"libx264"}))
    with pytest.raises(ValueError, match="has no encoder libx265; install imageio-ffmpeg's"):
        encode(tmp_path / "a.mkv", tmp_path / "b.mkv", ntire2021.ENCODING)


@pytest.mark.slow
def test_ntire_columns(tmp_path, networks, monkeypatch):
    monkeypatch.setattr(ntire2021, "NAMES", ("001", "002"))
    root, workdir = ntire(tmp_path / "data", ntire2021.NAMES), tmp_path / "work"
    content = run_protocol("ntire2021-track3", root, workdir, "--models", networks["tiny1"])
    for name in ("001", "002"):
        raw = root / ntire2021.RAW / f"{name}.mkv"
        kept = kept_truth(content, workdir, name)
        assert decoded(kept) == decoded(raw)
        path = kept_input(content, name, ntire2021.LABEL)
        expected = compare(kept, path, ScoreOptions(("psnr", "ms_ssim")))
        (row,) = scores_of(content, clip=name, curve="unprocessed")
        assert row["psnr"] == pytest.approx(expected.mean("psnr"), abs=1e-4)
        assert row["ms_ssim"] == pytest.approx(expected.mean("ms_ssim"), abs=1e-5)
    psnr = {c: [r["psnr"] for r in scores_of(content, curve=c)] for c in ("unprocessed", "tiny1")}
    means = {curve: sum(values) / 2 for curve, values in psnr.items()}
    lines = (workdir / "ntire2021-track3.md").read_text().splitlines()
    header, line = (
        re.sub(r"[*]|</?u>", "", next(x for x in lines if x.startswith(start))).split(" | ")
        for start in ("| method", "| tiny1")
    )
    cells = dict(zip(header, line, strict=True))
    assert cells["PSNR (dB), 002"].startswith(f"{psnr['tiny1'][1]:.2f}")
    assert cells["PSNR (dB), average"].startswith(f"{means['tiny1']:.2f}")
    assert cells["PSNR (dB), gain"] == f"{means['tiny1'] - means['unprocessed']:+.3f}"


def test_the_challenges_own_compressed_videos_are_used(tmp_path, monkeypatch):
    monkeypatch.setattr(ntire2021, "NAMES", ("001", "002"))
    root, workdir = ntire(tmp_path / "data", ntire2021.NAMES), tmp_path / "work"
    given = root / ntire2021.COMPRESSED
    given.mkdir()
    coarse = ("-c:v", "libx265", "-x265-params", "log-level=error", "-crf", "45")
    make_video(given / "001.mkv", frames=6, size="176x168", output=coarse)
    with pytest.raises(ValueError, match=r"lacks 1 of .*: test_fixed-rate_release/002\.mkv"):
        run_protocol("ntire2021-track3", root, workdir, "--models", "")
    make_video(given / "002.mkv", frames=5, size="176x168", output=coarse)
    with pytest.raises(ValueError, match=r"002\.mkv has 5 frames, 002 6"):
        run_protocol("ntire2021-track3", root, workdir)
    # Of the first frames alone, what lies beyond is not read.
    content = run_protocol("ntire2021-track3", root, workdir, "--max-frames", "5")
    assert [one["from"] for one in content["inputs"]] == [
        str(given / f"{name}.mkv") for name in ("001", "002")
    ]
    kept = kept_truth(content, workdir, "002")
    assert decoded(kept) == decoded(root / ntire2021.RAW / "002.mkv", "end_frame=5")
    expected = compare(kept, given / "002.mkv", ScoreOptions(("psnr",)))
    (row,) = scores_of(content, clip="002")
    assert row["psnr"] == pytest.approx(expected.mean("psnr"), abs=1e-4)
    made = run_protocol("ntire2021-track3", root, workdir, "--max-frames", "5", "--make-inputs")
    assert "pass=2" in made["inputs"][0]["from"]
    assert made["results"] != content["results"]


def test_every_missing_raw_video_is_named(tmp_path):
    ntire(tmp_path, ("001", "004"), "64x48")
    found = ntire2021.find(tmp_path, None)
    absent = [n for n in ntire2021.NAMES if n not in ("001", "004")]
    assert found.missing == tuple(f"test_raw_2/{name}.mkv" for name in absent)


# AIM 2024


def test_aim_columns(tmp_path, networks, monkeypatch):
    conditions = [c for c in aim2024.PRESET.conditions if c.label in ("CRF 31", "CRF 63")]
    short = {**vars(aim2024.PRESET), "conditions": tuple(conditions)}
    monkeypatch.setitem(catalogue.PRESETS, "aim2024-av1", type(aim2024.PRESET)(**short))
    root, workdir = aim(tmp_path / "data"), tmp_path / "work"
    content = run_protocol("aim2024-av1", root, workdir, "--models", networks["tiny4"])
    assert [(c["width"], c["height"], c["fps"]) for c in content["clips"]] == [
        (192, 96, "30000/1001"),
        (128, 96, "24"),
    ]
    sintel = "Sintel-Dragons"
    path = kept_input(content, sintel, "CRF 63")
    assert (probe(path).width, probe(path).height) == (32, 24)
    rates = {r["condition"]: r["kbps"] for r in scores_of(content, clip=sintel)}
    assert rates["CRF 31"] > rates["CRF 63"] > 0
    assert rates["CRF 63"] == pytest.approx(measure_kbps(path, probe(path).fps), abs=1e-2)
    # A network's frames written out and scored as files are.
    from supervegan_jax.rate_distortion.ways import list_ways
    from supervegan_jax.video.writer import LosslessWriter
    from supervegan_jax.video_input.source import open_source

    written, source = tmp_path / "enhanced.mkv", open_source(path)
    size = {"width": 128, "height": 96, "fps": Fraction(24), "matrix": "smpte170m"}
    with LosslessWriter(written, **size) as writer:
        for frame in list_ways([networks["tiny4"]])[-1].frames(source):
            writer.write(b"".join(plane.tobytes() for plane in frame.planes))
    kept = kept_truth(content, workdir, sintel)
    expected = compare(kept, written, ScoreOptions(("psnr_y", "ssim_y")))
    (row,) = scores_of(content, clip=sintel, condition="CRF 63", curve="tiny4")
    assert row["vmaf"] == pytest.approx(np.mean(vmaf_of_files(written, kept)), abs=1e-4)
    assert row["psnr_y"] == pytest.approx(expected.mean("psnr_y"), abs=1e-3)
    assert row["ssim_y"] == pytest.approx(expected.mean("ssim_y"), abs=1e-4)
    text = (workdir / "aim2024-av1.md").read_text()
    assert f"{count_parameters(load_model(networks['tiny4']).generator):,}" in text
    assert "| tiny4, all |" in text
    assert all(row.endswith("| - |") for row in text.splitlines() if row.startswith("| tiny4"))

    # The same bits, as the challenge gives them; and a speed, of the largest size.
    streams = root / "4K-ValidationSet-LR" / aim2024.BITSTREAMS
    streams.mkdir(parents=True)
    for clip in (sintel, "Chimera-WindAndNature_192x96_2997fps_8bit_420"):
        for crf in aim2024.QUALITIES:
            made = kept_input(content, clip, "CRF 31" if crf == 31 else "CRF 63")
            copy = f"file:{streams}/{clip}_4x_crf{crf}.mp4"
            video_samples.ffmpeg("-i", f"file:{made}", "-c", "copy", copy)
    benchmark = tmp_path / "speed.json"
    record = {"model": networks["tiny4"], "stage": "b", "output": "128x96", "ms_per_frame": 20.0}
    benchmark.write_text(json.dumps([record]))
    words = ["--models", networks["tiny4"], "--benchmark", str(benchmark)]
    with pytest.raises(ValueError, match="no time of tiny4 at 192x96; make it with benchmark"):
        run_protocol("aim2024-av1", root, tmp_path / "given", *words)
    benchmark.write_text(json.dumps([record, record | {"output": "192x96", "ms_per_frame": 40.0}]))
    given = run_protocol("aim2024-av1", root, tmp_path / "given", *words)
    assert all(aim2024.BITSTREAMS in one["from"] for one in given["inputs"])
    for mine, theirs in zip(content["results"], given["results"], strict=True):
        assert mine | {"kbps": 0} == pytest.approx(theirs | {"kbps": 0})
        assert (mine["kbps"] is None) == (theirs["kbps"] is None)
    rows = (tmp_path / "given" / "aim2024-av1.md").read_text().splitlines()
    assert all(row.endswith("| 25 |") for row in rows if row.startswith("| tiny4"))


def test_the_challenges_bitstreams_are_all_needed_if_there_are_any(tmp_path):
    root = aim(tmp_path)
    assert aim2024.find(root, None).missing == ()
    streams = root / "4K-ValidationSet-LR" / "ValidationSet" / "bitstreams"
    streams.mkdir(parents=True)
    for crf in aim2024.QUALITIES[1:]:
        (streams / f"Sintel-Dragons_4x_crf{crf}.mp4").touch()
    missing = aim2024.find(root, None).missing
    assert "bitstreams/Sintel-Dragons_4x_crf31.mp4" in missing
    assert len(missing) == 1 + 5
    (root / "other.yuv").touch()
    with pytest.raises(ValueError, match=r"other\.yuv: bare samples; a name such as"):
        aim2024.find(root, None)


# Vid4


def enlarged_scores(folder: Path, given: Path | None = None) -> dict[str, float]:
    """BIx4 enlarged bicubically, every step on pictures of 8 bits as PNG files would hold them."""

    def read(path: Path) -> jnp.ndarray:
        return jnp.asarray(np.asarray(Image.open(path)), jnp.float32)[None] / 255

    scorer, rows = Scorer(("psnr_y", "ssim_y")), []
    for path in sorted(folder.iterdir()):
        picture = read(path)
        small = jnp.clip(jnp.round(downsample_bicubic(picture, 4) * 255), 0, 255) / 255
        small = small if given is None else read(given / path.name)
        large = jnp.clip(jnp.round(upsample_bicubic(small, 4) * 255), 0, 255) / 255
        rows.append(scorer.score(picture, large))
    return {metric: float(np.mean([row[metric] for row in rows])) for metric in rows[0]}


def test_vid4_columns(tmp_path, networks, capsys):
    root, workdir = vid4_pictures(tmp_path / "data"), tmp_path / "work"
    content = run_protocol("vid4", root, workdir, "--models", networks["tiny4"])
    assert len(content["results"]) == 4 * 2 * 2
    assert {row["kbps"] for row in content["results"]} == {None}
    means = {}
    for name in vid4.CLIPS:
        expected = enlarged_scores(root / "GT" / name)
        (row,) = scores_of(content, clip=name, condition="BIx4", curve="bicubic")
        # The enlarged pictures pass through YCbCr of 10 bits.
        assert row["psnr_y"] == pytest.approx(expected["psnr_y"], abs=0.01)
        assert row["ssim_y"] == pytest.approx(expected["ssim_y"], abs=1e-3)
        means[name] = row["psnr_y"]
        blurred = scores_of(content, clip=name, condition="BDx4", curve="bicubic")[0]
        assert blurred["psnr_y"] != row["psnr_y"]
    assert "calendar has 6 pictures, the whole clip 41" in capsys.readouterr().err
    text = (workdir / "vid4.md").read_text()
    mean = sum(means.values()) / 4
    assert f"{math.floor(mean * 10) / 10:.1f}" in text
    assert "* scored: all frames; no border left out\n" in text
    # Without the borders it is of other frames and other pixels.
    bordered = run_protocol(
        "vid4", root, workdir, "--models", "", "--crop-border", "8", "--skip-ends", "2"
    )
    assert bordered["scoring"]["crop_border"] == 8
    said = "scored: all frames, 2 left out at either end; 8 pixels left out at each side\n"
    assert said in capsys.readouterr().out
    assert said in (workdir / "vid4.md").read_text()
    (row,) = scores_of(bordered, clip="city", condition="BIx4")
    scorer = Scorer(("psnr_y",), crop_border=8)
    path = workdir / "references" / next(c["path"] for c in content["clips"] if c["name"] == "city")
    pictures = _kept_pictures(path, 1, 8)
    original = np.stack([np.asarray(Image.open(p)) for p in sorted((root / "GT/city").iterdir())])
    np.testing.assert_array_equal(np.round(np.concatenate(pictures) * 255), original)
    small = [jnp.round(downsample_bicubic(picture, 4) * 255) / 255 for picture in pictures[2:4]]
    values = [
        scorer.score(picture, jnp.clip(jnp.round(upsample_bicubic(s, 4) * 255), 0, 255) / 255)
        for picture, s in zip(pictures[2:4], small, strict=True)
    ]
    assert row["psnr_y"] == pytest.approx(np.mean([v["psnr_y"] for v in values]), abs=0.01)
    with pytest.raises(ValueError, match="calendar has 6 frames; 3 left out at either end"):
        run_protocol("vid4", root, workdir, "--models", "", "--skip-ends", "3")
    with pytest.raises(ValueError, match=r"calendar: crop_border 24 of pictures of .*0 to 23$"):
        run_protocol("vid4", root, tmp_path / "new", "--models", "", "--crop-border", "24")
    assert not list(tmp_path.glob("new/encodes/*"))  # told before anything is made
    # Left are the frames 2 and 3, and of 0 and 4 neither; of 0, 2 and 4 one is.
    words = ("vid4", root, workdir, "--models", "", "--skip-ends", "2", "--frame-step")
    with pytest.raises(ValueError, match="2 left out at either end and one in 4 scored leave none"):
        run_protocol(*words, "4")
    run_protocol(*words, "2")
    assert "scored: one in 2 of all frames, 2 left" in (workdir / "vid4.md").read_text()


def test_what_was_scored_is_told():
    scoring = Scoring(("vmaf", "psnr_y"))
    assert _scored(scoring, None, False) == "scored: all frames; no border left out"
    assert _scored(scoring, 9, False) == "scored: the first 9 frames; no border left out"
    scoring = Scoring(("vmaf", "psnr_y"), frame_step=2, crop_border=8, skip_ends=1)
    assert _scored(scoring, 9, True) == (
        "scored: one in 2 of the first 9 frames, 1 left out at either end, those without a number "
        "left out; 8 pixels left out at each side; VMAF takes every frame, whole"
    )


def test_means_of_different_frames_are_not_compared(tmp_path, networks, monkeypatch, capsys):
    """A frame that the plain enlargement gives exactly, and the network almost."""
    monkeypatch.setattr(vid4, "CLIPS", {"calendar": 41, "city": 34})
    root, workdir = vid4_pictures(tmp_path / "data", count=5), tmp_path / "work"
    words = ("vid4", root, workdir, "--models", networks["tiny4"])
    before = run_protocol(*words)
    for path in workdir.glob("scores/*.json"):
        kept = json.loads(path.read_text())
        if (kept["clip"], kept["curve"]) == ("city", "bicubic"):
            kept["scores"]["psnr_y"]["frames"] = 4
            path.write_text(json.dumps(kept))
    capsys.readouterr()
    after = run_protocol(*words)
    (row,) = scores_of(after, clip="city", condition="BIx4", curve="bicubic")
    (whole,) = scores_of(before, clip="city", condition="BIx4", curve="bicubic")
    assert row == whole | {"left_out": {"psnr_y": 1}}
    text = (workdir / "vid4.md").read_text()
    lines = [x.split(" | ")[:3] for x in text.splitlines() if x.startswith(("| city", "| mean"))]
    assert lines == [["| city", "-", "-"], ["| mean", "-", "-"]] * 2
    assert "* scored: all frames, those without a number left out; no border left out\n" in text
    told = (
        "city, BIx4: bicubic: psnr_y is infinite or undefined in different numbers of frames "
        '(bicubic 1, tiny4 0), which the means leave out; it gives only "-" in the tables\n'
    )
    assert f"* {told}" in text and f"note: {told}" in capsys.readouterr().out


def test_small_pictures_made_by_others_are_used(tmp_path):
    root, workdir = vid4_pictures(tmp_path / "data", count=5), tmp_path / "work"
    for name in vid4.CLIPS:
        for path in sorted((root / "GT" / name).iterdir()):
            small = root / "BIx4" / name / path.name
            small.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(path) as image:
                image.resize((16, 12), Image.Resampling.NEAREST).save(small)
    content = run_protocol("vid4", root, workdir, "--models", "")
    assert content["inputs"][0]["from"] == str(root / "BIx4" / "calendar")
    made = run_protocol("vid4", root, workdir, "--models", "", "--make-inputs")
    given, own = (scores_of(c, clip="walk", condition="BIx4")[0]["psnr_y"] for c in (content, made))
    expected = enlarged_scores(root / "GT" / "walk", root / "BIx4" / "walk")
    assert given == pytest.approx(expected["psnr_y"], abs=0.01)
    assert abs(own - given) > 0.05
    same = [scores_of(c, condition="BDx4") for c in (content, made)]
    assert same[0] == same[1]
    (root / "BIx4" / "walk" / "00000004.png").unlink()
    (root / "GT" / "city" / "00000000.png").rename(root / "GT" / "x.png")
    for path in (root / "GT" / "foliage").iterdir():
        path.unlink()
    missing = vid4.find(root, None).missing
    assert missing == (
        "BIx4/city/*.png (4; it has 5)",
        "GT/foliage/*.png (49 pictures)",
        "BIx4/foliage/*.png (49; it has 5)",
        "BIx4/walk/*.png (5; it has 4)",
    )
