"""`evaluate stages`, `plane`, `training`, `runtime` and the config they share."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from supervegan_jax import evaluate
from supervegan_jax.experiments import plane, training_bitrate
from supervegan_jax.experiments.pareto import pareto_front
from supervegan_jax.rate_distortion import curves, tables
from supervegan_jax.rate_distortion.config_file import with_config
from supervegan_jax.rate_distortion.curves import Point

METRICS = ("rmse", "niqe", "lpips", "psnr")


def point(clip: str, curve: str, kbps: int, rmse: float, niqe: float) -> Point:
    scores = {"rmse": rmse, "niqe": niqe, "lpips": niqe / 10, "psnr": 40 - rmse}
    scale = 1 if curve == "codec" else 4
    return Point(clip, "h264", curve, scale, kbps, 1.1 * kbps, kbps / 1e4, scores)


def made_points() -> list[Point]:
    """Two clips; net is trained at 250 kbit/s, other at 1000, whose scores are worse by one."""
    points = []
    for clip, more in (("a", 0.0), ("b", 2.0)):
        for kbps, less in ((250, 0.0), (500, 1.0)):
            for curve, rmse, niqe in (
                ("codec", 5.0, 6.0),
                ("bicubic", 9.0, 8.0),
                ("net:a", 6.0, 5.0),
                ("net", 7.0, 3.0),
                ("other:a", 7.0, 6.0),
                ("other", 8.0, 4.0),
            ):
                points.append(point(clip, curve, kbps, rmse + more - less, niqe - less))
    return points


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A finished run, made up."""
    folder = tmp_path_factory.mktemp("rd")
    (folder / "rd.json").write_text(tables.to_json({}, made_points(), [], [], []))
    return folder


def test_the_front_holds_what_nothing_beats():
    values = [(1.0, 5.0), (2.0, 4.0), (2.0, 3.0), (0.0, 5.0), (3.0, 3.0), (1.0, 5.0)]
    assert pareto_front(values) == [True, True, False, False, True, True]


def test_the_plane_of_a_run(workdir, tmp_path, capsys):
    files = {"json": tmp_path / "plane.json", "plot": tmp_path / "plane.png"}
    words = ["plane", str(workdir), "--kbps", "250"]
    for name, path in files.items():
        words += [f"--{name}", str(path)]
    evaluate.main(words)
    content = json.loads(files["json"].read_text())
    placed = {p["curve"]: (p["distortion"], p["perception"]) for p in content["points"]}
    assert placed == {
        "codec": (6, 6),
        "bicubic": (10, 8),
        "net:a": (7, 5),
        "net": (8, 3),
        "other:a": (8, 6),
        "other": (9, 4),
    }
    front = [p["curve"] for p in content["points"] if p["on_front"]]
    assert front == ["codec", "net:a", "net"]
    assert np.asarray(Image.open(files["plot"]).convert("RGB")).std() > 10
    out = capsys.readouterr().out
    assert "net, stage A *" in out
    assert "other *" not in out
    for more, message in (
        (["--kbps", "251"], "251 kbit/s; this run has 250, 500"),
        (["--perception", "pi"], "metric 'pi'; this run has rmse, niqe, lpips, psnr"),
        (["--codec", "av1"], "codec 'av1'; this run has h264"),
        (["--distortion", "niqe"], "distortion and perception are both 'niqe'; two metrics"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate.main([*words, *more])


def test_what_more_is_better_turns_the_front_around():
    made = plane.make_plane(
        made_points(), codec="h264", kbps=500, distortion="psnr", perception="lpips"
    )
    assert [p.curve for p in made.points if p.on_front] == ["codec", "net:a", "net"]
    assert next(p for p in made.points if p.curve == "net").distortion == 33


def test_stages_of_a_network(workdir, tmp_path, capsys):
    output = tmp_path / "stages.md"
    words = ["stages", str(workdir), "--metrics", "lpips,psnr", "--output", str(output)]
    files = {"json": tmp_path / "stages.json", "plot": tmp_path / "stages.png"}
    written = [f"--{name}={path}" for name, path in files.items()]
    evaluate.main([*words, *written, "--kbps", "250"])
    content = json.loads(files["json"].read_text())
    assert [c["difference"]["mean"] for c in content["changes"][:4]] == pytest.approx(
        [-0.3, 3.0, -0.2, -1.0]
    )
    assert np.asarray(Image.open(files["plot"]).convert("RGB")).std() > 10
    out = capsys.readouterr().out
    assert "net, 250 kbit/s: stage B against stage A" in out
    assert "4x: net, 250 kbit/s: stage B costs PSNR: holds (PSNR (dB) -1.00" in out
    lines = output.read_text().splitlines()[2:]
    assert lines[:3] == [
        "| net, 275 kbit/s: input, bicubic | 8.000 | 30.00 |",
        "| net, 275 kbit/s: stage A | <u>5.000</u> | **33.00** |",
        "| net, 275 kbit/s: stage B | **3.000** | <u>32.00</u> |",
    ]
    assert len(lines) == 6
    evaluate.main(words)
    assert len(output.read_text().splitlines()) == 2 + 12
    with pytest.raises(ValueError, match="75 kbit/s; models had 250, 500"):
        evaluate.main([*words, "--kbps", "75"])
    with pytest.raises(ValueError, match="metric 'ssim'; this run has"):
        evaluate.main([*words, "--metrics", "ssim"])
    assert curves.model_names(made_points()) == ["net", "other"]
    capsys.readouterr()


def test_a_network_of_one_stage_counts_like_any_other(tmp_path, capsys):
    points = [p for p in made_points() if p.curve not in ("net:a", "other:a", "other")]
    assert curves.model_names(points) == ["net"]
    (tmp_path / "rd.json").write_text(tables.to_json({}, points, [], [], []))
    output = tmp_path / "stages.md"
    words = ["--metrics", "lpips,psnr", "--kbps", "250", "--output", str(output)]
    evaluate.main(["stages", str(tmp_path), *words])
    assert output.read_text().splitlines()[2:] == [
        "| net, 275 kbit/s: input, bicubic | <u>8.000</u> | <u>30.00</u> |",
        "| net, 275 kbit/s: network | **3.000** | **32.00** |",
    ]
    # Beside one of two stages it may be the best of a clip.
    both = [p for p in made_points() if p.curve != "net:a"]
    best = [r for r in curves.equivalents(both, ("niqe",)) if r.curve == curves.BEST_MODEL]
    assert best[0].chosen == {"a": "net", "b": "net"}
    capsys.readouterr()


def test_networks_trained_at_different_bitrates(workdir, tmp_path, capsys):
    files = {"json": tmp_path / "t.json", "plot": tmp_path / "t.png", "output": tmp_path / "t.csv"}
    words = ["training", str(workdir), "--trained", "other=1000,net=250"]
    for name, path in files.items():
        words += [f"--{name}", str(path)]
    evaluate.main(words)
    content = json.loads(files["json"].read_text())
    assert content["trained_kbps"] == {"net": 250, "other": 1000}
    first, second = content["effects"]
    assert first["of_models"] == {"net": pytest.approx(0.3), "other": pytest.approx(0.4)}
    assert (first["mean"], first["low"], first["high"]) == pytest.approx((0.35, 0.3, 0.4))
    assert second["of_models"] == {"net": pytest.approx(0.2), "other": pytest.approx(0.3)}
    assert second["measured_kbps"] == pytest.approx(550)
    header, row, _ = files["output"].read_text().splitlines()
    assert '"net, trained at 250 kbit/s"' not in header.split("other")[1]
    assert row.split('",')[1] == "3.000,4.000,3.500,3.000,4.000"
    assert np.asarray(Image.open(files["plot"]).convert("RGB")).std() > 10
    for trained, message in (
        ("net=250", "at least two networks"),
        ("net=250,third=500", "'third=500'; NAME=KBPS of net, other"),
        ("net=250,other=fast", "'other=fast'; a whole number"),
    ):
        with pytest.raises(ValueError, match=message):
            training_bitrate.read_trained(trained, made_points())
    capsys.readouterr()


@pytest.mark.parametrize(
    "words",
    [
        ["plane", "--kbps=250", "--json=rd.json"],
        ["plane", "--kbps=250", "--plot=rd.json"],
        ["stages", "--metrics=lpips", "--json=rd.json"],
        ["training", "--trained=net=250,other=1000", "--json=rd.json"],
        ["table", "--kbps=250", "--output=rd.json"],
        ["report", "--benchmark=b.json", "--output=b.json"],
    ],
)
def test_the_run_that_is_read_is_not_written_over(workdir, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    for name in ("rd.json", "b.json"):
        shutil.copy(workdir / "rd.json", name)
    command, *flags = words
    with pytest.raises(ValueError, match=r"\.json would be written over .*\.json"):
        evaluate.main([command, str(tmp_path), *flags])
    assert Path("rd.json").read_text() == (workdir / "rd.json").read_text()


@pytest.mark.parametrize(
    "words", [["plane", "--kbps=250"], ["stages"], ["training", "--trained=net=250,other=1000"]]
)
def test_a_plot_is_a_png(workdir, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"p\.svg: accepted are files named \.png"):
        evaluate.main([words[0], str(workdir), *words[1:], "--plot", "p.svg"])
    assert not any(tmp_path.iterdir())


def test_a_benchmark_becomes_a_table(tmp_path, capsys):
    path = tmp_path / "benchmark.json"
    rows = [
        {"model": "net", "frames_per_second": 31.256, "device": "CPU"},
        {"model": "other", "frames_per_second": None, "device": "GPU"},
        {"model": "third", "device": "TPU"},  # only some sizes are measured end to end
    ]
    path.write_text(json.dumps({"title": "Speed", "rows": rows}))
    output = tmp_path / "runtime.md"
    evaluate.main(["runtime", str(path), "--output", str(output)])
    assert output.read_text().splitlines() == [
        "| model | frames per second | device |",
        "| --- | ---: | ---: |",
        "| net | 31.26 | CPU |",
        "| other | - | GPU |",
        "| third | - | TPU |",
    ]
    for text, message in (
        ("{", "is no JSON"),
        ("[]", "a list of objects is needed"),
        ('[{"a": 1}, {"b": 1}]', "'a' and plain values are needed"),
        ('[{"a": [1]}]', "'a' and plain values are needed"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            evaluate.main(["runtime", str(path)])
    with pytest.raises(ValueError, match=r"no benchmark .*none\.json"):
        evaluate.main(["runtime", str(tmp_path / "none.json")])
    capsys.readouterr()


def test_one_config_serves_all_commands(workdir, tmp_path, capsys):
    path = tmp_path / "study.json"
    content = {
        "workdir": str(workdir),
        "clips": ["a.mkv", "b.mkv"],
        "models": ["net", "other"],
        "input_kbps": [250, 500],
        "frame_step": 5,
        "plane": {"kbps": 250},
        "training": {"trained": {"net": 250, "other": 1000}},
        "report": {"crop": ["a:3:0,8", "b:4:8,0"]},
    }
    path.write_text(json.dumps(content))
    words = ["--config", str(path)]
    assert with_config(["rd", *words, "--jobs", "1"]) == [
        *("rd", f"--workdir={workdir}", "--clips", "a.mkv", "b.mkv", "--models=net,other"),
        *("--input-kbps=250,500", "--frame-step=5", *words, "--jobs", "1"),
    ]
    for no_plots in (True, False):
        path.write_text(json.dumps(content | {"no_plots": no_plots}))
        assert with_config(["rd", *words]).count("--no-plots") == no_plots
        assert "--no-plots" not in with_config(["plane", *words])
    path.write_text(json.dumps(content))
    assert with_config(["report", *words])[2:4] == ["--crop=a:3:0,8", "--crop=b:4:8,0"]
    assert with_config(["score", *words]) == ["score", *words]
    evaluate.main(["plane", *words])
    assert "h264 at 250 kbit/s" in capsys.readouterr().out
    # The command line wins.
    evaluate.main(["plane", *words, "--kbps", "500"])
    assert "h264 at 500 kbit/s" in capsys.readouterr().out
    evaluate.main(["training", *words])
    evaluate.main(["stages", *words])
    with pytest.raises(ValueError, match=r"no .*none/rd\.json"):
        evaluate.main(["stages", str(tmp_path / "none"), *words])
    with pytest.raises(ValueError, match="no WORKDIR; name the folder"):
        evaluate.main(["stages"])
    capsys.readouterr()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"c\.json is no JSON"),
        ("[]", "a JSON object is needed"),
        ('{"clip": []}', "field 'clip'; accepted: workdir, clips, models"),
        ('{"plane": {"kbp": 1}}', "field 'kbp'; accepted: kbps, codec"),
        ('{"plane": 250}', "'plane' has to be an object"),
        ('{"plane": {"kbps": true}}', "kbps is True; texts and numbers"),
        ('{"plane": {"kbps": []}}', "kbps is .*; texts and numbers"),
    ],
)
def test_configs_that_are_refused(tmp_path, text, message):
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        with_config(["plane", "--config", str(path)])
    with pytest.raises(ValueError, match=r"no config .*none\.json"):
        with_config(["plane", "--config", str(tmp_path / "none.json")])
    path.write_text('{"no_plots": "yes"}')
    with pytest.raises(ValueError, match="no_plots is 'yes'; true and false are accepted"):
        with_config(["rd", "--config", str(path)])
