"""`evaluate protocol`: every preset on a small folder of its layout, from files to columns."""

import json
import math
import re
from fractions import Fraction
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from enhancement_samples import small_system
from PIL import Image
from protocol_samples import aim, decoded, live_nflx, ntire, tears_of_steel, vid4_pictures
from video_samples import make_video, raw_frames

from supervegan_jax import evaluate
from supervegan_jax.benchmarking.counts import count_parameters
from supervegan_jax.evaluation.comparison import ScoreOptions, compare
from supervegan_jax.evaluation.scoring import Scorer
from supervegan_jax.ops.resize import downsample_bicubic, upsample_bicubic
from supervegan_jax.protocols import aim2024, catalogue, ntire2021, paper, vid4
from supervegan_jax.protocols.preset import Found
from supervegan_jax.protocols.scenes import Scene, read_scenes
from supervegan_jax.rate_distortion.measure import _kept_pictures
from supervegan_jax.video import ffmpeg
from supervegan_jax.video.encoder import encode
from supervegan_jax.video.probe import measure_bitrate_kbps, probe
from supervegan_jax.video.vmaf import vmaf_of_files
from supervegan_jax.weights import load_model, save_model


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> dict[str, str]:
    """Networks of every scale that compile in a moment."""
    folder = tmp_path_factory.mktemp("models")
    made = {
        "tiny1": small_system("mfqe", scale=1, width=4, dense_layers=1),
        "tiny2": small_system("srvgg", scale=2, width=4, layers=1),
        "tiny4": small_system("srvgg", scale=4, width=4, layers=1),
    }
    for name, model in made.items():
        save_model(folder / name, model.card["generator"], model.params, {})
    return {name: str(folder / name) for name in made}


def run(name: str, root: Path, workdir: Path, *more: str) -> dict:
    words = ["protocol", name, "--root", str(root), "--workdir", str(workdir), "--jobs", "2"]
    evaluate.main([*words, *more])
    return json.loads((workdir / f"{name}.json").read_text())


def scores_of(content: dict, **fields: str) -> list[dict]:
    return [r for r in content["results"] if all(r[k] == v for k, v in fields.items())]


def kept_input(content: dict, clip: str, condition: str) -> Path:
    wanted = (clip, condition)
    return Path(next(i["path"] for i in content["inputs"] if (i["clip"], i["condition"]) == wanted))


def truth(content: dict, workdir: Path, clip: str) -> Path:
    return workdir / "references" / next(c["path"] for c in content["clips"] if c["name"] == clip)


def test_the_list_tells_sources_licences_and_layouts(capsys):
    evaluate.main(["protocol", "--list"])
    shown = capsys.readouterr().out
    for name, preset in catalogue.PRESETS.items():
        assert f"{name}\n" in shown
        assert preset.source in shown
        assert preset.licence in shown
    assert "CC BY 3.0" in shown


# LIVE-NFLX-II


def test_every_missing_reference_is_named_at_once(tmp_path, capsys):
    live_nflx(tmp_path, ("AirShow", "GTA"))
    words = ["protocol", "live-nflx-ii", "--root", str(tmp_path), "--check"]
    with pytest.raises(ValueError, match="lacks 13 of what live-nflx-ii needs") as error:
        evaluate.main(words)
    absent = [name for name in paper.CONTENTS if name not in ("AirShow", "GTA")]
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 13
    for name, line in zip(absent, told, strict=True):
        assert f"{name}*.yuv" in str(error.value)
        assert line.startswith(f"missing: {name}*.yuv")
    for name in absent:
        (tmp_path / f"{name}.y4m").touch()
    next(tmp_path.glob("**/GTA_Simple*.mat")).unlink()
    evaluate.main(words)
    assert "all there, 15 clips: AirShow" in capsys.readouterr().out
    next(tmp_path.glob("**/GTA_*.mat")).unlink()
    with pytest.raises(ValueError, match=r"a \.mat of GTA, which tells size and rate of GTA_ref"):
        evaluate.main(words)
    (tmp_path / "Soccer_again.y4m").touch()
    with pytest.raises(ValueError, match=r"2 files may be the reference of Soccer: .*again"):
        evaluate.main(words)


def test_live_nflx_as_the_paper_measures_it(tmp_path, networks, monkeypatch, capsys):
    monkeypatch.setattr(paper, "CONTENTS", ("AirShow", "GTA"))
    root, workdir = live_nflx(tmp_path / "data", paper.CONTENTS), tmp_path / "work"
    models = f"{networks['tiny4']},{networks['tiny2']}"
    content = run("live-nflx-ii", root, workdir, "--models", models)
    assert [clip["frame_count"] for clip in content["clips"]] == [5, 6]
    assert {clip["fps"] for clip in content["clips"]} == {"24"}
    found = {(r["condition"], r["curve"]) for r in content["results"]}
    plain = "h264 at full size"
    assert found == {
        *(("x4 at 250", c) for c in ("bicubic x4", "tiny4")),
        *(("x2 at 750", c) for c in ("bicubic x2", "tiny2")),
        *((f"full size at {kbps}", plain) for kbps in (250, 750)),
    }
    # What is decoded at full size is scored like any file.
    path = kept_input(content, "GTA", "full size at 250")
    expected = compare(truth(content, workdir, "GTA"), path, ScoreOptions(("psnr", "lpips")))
    (row,) = scores_of(content, clip="GTA", condition="full size at 250", curve=plain)
    assert row["psnr"] == pytest.approx(expected.mean("psnr"), abs=1e-4)
    assert row["lpips"] == pytest.approx(expected.mean("lpips"), abs=1e-5)
    assert row["kbps"] == pytest.approx(measure_bitrate_kbps(path), abs=1e-2)
    shown = capsys.readouterr().out
    mean = np.mean([r["lpips"] for r in scores_of(content, curve="tiny4")])
    assert f"{10 * mean:.3f}" in shown
    text = (workdir / "live-nflx-ii.md").read_text()
    assert text.count("| mean |") == 2
    # A second run finds everything.
    before = {path: path.stat().st_mtime_ns for path in workdir.glob("*s/*")}
    again = run("live-nflx-ii", root, workdir, "--models", models)
    assert again == content
    assert before == {path: path.stat().st_mtime_ns for path in workdir.glob("*s/*")}


# Tears of Steel


def test_the_shipped_scenes_have_as_many_frames_as_the_papers():
    scenes = read_scenes(paper.SCENES, Fraction(24))
    assert len(scenes) == 8
    assert sum(scene.end - scene.start for scene in scenes) == 1317
    # The film has 12 minutes and 14 seconds, its end titles two and a half of them.
    assert max(scene.end for scene in scenes) < 24 * 60 * 9


def test_a_list_of_ones_own_scenes_is_followed(tmp_path, capsys):
    root, workdir = tears_of_steel(tmp_path), tmp_path / "work"
    scenes = root / "scenes.csv"
    film = root / "tears_of_steel_1080p.mov"
    more = ["--scenes", str(scenes), "--models", "", "--frame-step", "3"]
    content = run("tears-of-steel", root, workdir, *more)
    assert [(c["name"], c["frame_count"]) for c in content["clips"]] == [
        ("bridge", 6),
        ("church", 6),
    ]
    for clip, (start, end) in zip(content["clips"], [(3, 9), (24, 30)], strict=True):
        exact = decoded(film, f"start_frame={start}", f"end_frame={end}")
        kept = decoded(workdir / "references" / clip["path"])
        assert kept == exact
    assert f"scenes: {scenes}" in capsys.readouterr().err
    scenes.write_text("name,start,end\nall,0,41\n")
    with pytest.raises(ValueError, match="all ends at frame 41, the film has 40"):
        run("tears-of-steel", root, workdir, *more)


def test_the_film_may_be_pictures(tmp_path):
    folder = tmp_path / "tearsofsteel" / "png"
    folder.mkdir(parents=True)
    for index in range(12):
        Image.new("RGB", (64, 48), (20 * index, 100, 50)).save(folder / f"{index + 1:05d}.png")
    scenes = tmp_path / "mine.csv"
    scenes.write_text("name,start,end\nlater,4,10\n")
    workdir = tmp_path / "work"
    more = ["--scenes", str(scenes), "--models", ""]
    content = run("tears-of-steel", tmp_path / "tearsofsteel", workdir, *more)
    (clip,) = content["clips"]
    assert (clip["frame_count"], clip["fps"]) == (6, "24")
    pixels = raw_frames(workdir / "references" / clip["path"], "rgb24")
    reds = np.frombuffer(pixels, np.uint8).reshape(6, 48, 64, 3)[:, 24, 32, 0]
    np.testing.assert_allclose(reds, [20 * index for index in range(4, 10)], atol=2)


def test_no_film_is_said_to_be_missing(tmp_path):
    with pytest.raises(ValueError, match=r"lacks 1 of .*: tears_of_steel_1080p\.mov, another"):
        run("tears-of-steel", tmp_path, tmp_path / "work")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the first line must be name,start,end"),
        ("name,begin,end\n", "the first line must be name,start,end"),
        ("name,start,end\n", "names no scene"),
        ("name,start,end\na,1\n", "'a,1'; a line is name,start,end"),
        ("name,start,end\na,-1,5\n", "'-1'; a frame such as 720 or seconds such as 30s"),
        ("name,start,end\na,1,1e2\n", "'1e2'; a frame"),
        ("name,start,end\na,9,9\n", "'a,9,9' ends before it begins"),
        ("name,start,end\na,1,9\na,10,19\n", "two scenes are called 'a'"),
    ],
)
def test_scene_lists_that_are_refused(tmp_path, text, message):
    path = tmp_path / "scenes.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_scenes(path, Fraction(24))


def test_seconds_are_turned_into_frames_of_the_films_rate(tmp_path):
    path = tmp_path / "scenes.csv"
    path.write_text("name,start,end\na,10s,12.5s\n")
    assert read_scenes(path, Fraction(24)) == [Scene("a", 240, 300)]
    assert read_scenes(path, Fraction(30000, 1001)) == [Scene("a", 300, 375)]
    with pytest.raises(ValueError, match="no scene list"):
        read_scenes(tmp_path / "nothing.csv", Fraction(24))


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


def test_ntire_columns(tmp_path, networks, monkeypatch):
    monkeypatch.setattr(ntire2021, "NAMES", ("001", "002"))
    root, workdir = ntire(tmp_path / "data", ntire2021.NAMES), tmp_path / "work"
    content = run("ntire2021-track3", root, workdir, "--models", networks["tiny1"])
    for name in ("001", "002"):
        raw = root / ntire2021.RAW / f"{name}.mkv"
        kept = truth(content, workdir, name)
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
        run("ntire2021-track3", root, workdir, "--models", "")
    make_video(given / "002.mkv", frames=5, size="176x168", output=coarse)
    with pytest.raises(ValueError, match=r"002\.mkv has 5 frames, 002 6"):
        run("ntire2021-track3", root, workdir)
    # Of the first frames alone, what lies beyond is not read.
    content = run("ntire2021-track3", root, workdir, "--max-frames", "5")
    assert [one["from"] for one in content["inputs"]] == [
        str(given / f"{name}.mkv") for name in ("001", "002")
    ]
    kept = truth(content, workdir, "002")
    assert decoded(kept) == decoded(root / ntire2021.RAW / "002.mkv", "end_frame=5")
    expected = compare(kept, given / "002.mkv", ScoreOptions(("psnr",)))
    (row,) = scores_of(content, clip="002")
    assert row["psnr"] == pytest.approx(expected.mean("psnr"), abs=1e-4)
    made = run("ntire2021-track3", root, workdir, "--max-frames", "5", "--make-inputs")
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
    content = run("aim2024-av1", root, workdir, "--models", networks["tiny4"])
    assert [(c["width"], c["height"], c["fps"]) for c in content["clips"]] == [
        (192, 96, "30000/1001"),
        (128, 96, "24"),
    ]
    sintel = "Sintel-Dragons"
    path = kept_input(content, sintel, "CRF 63")
    assert (probe(path).width, probe(path).height) == (32, 24)
    rates = {r["condition"]: r["kbps"] for r in scores_of(content, clip=sintel)}
    assert rates["CRF 31"] > rates["CRF 63"] > 0
    assert rates["CRF 63"] == pytest.approx(measure_bitrate_kbps(path), abs=1e-2)
    # A network's frames written out and scored as files are.
    from supervegan_jax.rate_distortion.ways import list_ways
    from supervegan_jax.video.writer import LosslessWriter
    from supervegan_jax.video_input.source import open_source

    written, source = tmp_path / "enhanced.mkv", open_source(path)
    size = {"width": 128, "height": 96, "fps": Fraction(24), "matrix": "smpte170m"}
    with LosslessWriter(written, **size) as writer:
        for frame in list_ways([networks["tiny4"]])[-1].frames(source):
            writer.write(b"".join(plane.tobytes() for plane in frame.planes))
    kept = truth(content, workdir, sintel)
    expected = compare(kept, written, ScoreOptions(("psnr_y", "ssim_y")))
    (row,) = scores_of(content, clip=sintel, condition="CRF 63", curve="tiny4")
    assert row["vmaf"] == pytest.approx(np.mean(vmaf_of_files(written, kept)), abs=1e-4)
    assert row["psnr_y"] == pytest.approx(expected.mean("psnr_y"), abs=1e-3)
    assert row["ssim_y"] == pytest.approx(expected.mean("ssim_y"), abs=1e-4)
    text = (workdir / "aim2024-av1.md").read_text()
    assert f"{count_parameters(load_model(networks['tiny4']).generator):,}" in text
    assert "| tiny4, all |" in text


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
    content = run("vid4", root, workdir, "--models", networks["tiny4"])
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
    # DUF's convention is of other frames and other pixels.
    bordered = run("vid4", root, workdir, "--models", "", "--crop-border", "8", "--skip-ends", "2")
    assert bordered["scoring"]["crop_border"] == 8
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
        run("vid4", root, workdir, "--models", "", "--skip-ends", "3")


def test_small_pictures_made_by_others_are_used(tmp_path):
    root, workdir = vid4_pictures(tmp_path / "data", count=5), tmp_path / "work"
    for name in vid4.CLIPS:
        for path in sorted((root / "GT" / name).iterdir()):
            small = root / "BIx4" / name / path.name
            small.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(path) as image:
                image.resize((16, 12), Image.Resampling.NEAREST).save(small)
    content = run("vid4", root, workdir, "--models", "")
    assert content["inputs"][0]["from"] == str(root / "BIx4" / "calendar")
    made = run("vid4", root, workdir, "--models", "", "--make-inputs")
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


# What is refused


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "NAME and --root are needed"),
        (["nothing", "--root", "."], "protocol 'nothing'; accepted: live-nflx-ii, tears-of-steel"),
        (["vid4", "--root", "no/such"], "no/such is no folder"),
        (["vid4", "--root", ".", "--scenes", "a.csv"], "vid4 has no scene list"),
        (["vid4", "--root", ".", "--frame-step", "0"], "frame_step 0; at least 1"),
        (["vid4", "--root", ".", "--crop-border", "-1"], "crop_border -1; at least 0"),
        (["vid4", "--root", ".", "--skip-ends", "-1"], "skip_ends -1; at least 0"),
    ],
)
def test_commands_that_are_refused(words, message):
    with pytest.raises(ValueError, match=message):
        evaluate.main(["protocol", *words])


def test_a_network_of_another_scale_is_refused(tmp_path, networks, monkeypatch):
    preset = {**vars(vid4.PRESET), "find": lambda root, scenes: Found(())}
    monkeypatch.setitem(catalogue.PRESETS, "vid4", type(vid4.PRESET)(**preset))
    with pytest.raises(ValueError, match="tiny2 enlarges 2x; this protocol's inputs: 4x"):
        run("vid4", tmp_path, tmp_path / "work", "--models", networks["tiny2"])
