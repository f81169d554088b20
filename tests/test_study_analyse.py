"""`study analyse` from a file to JSON, tables and figures, and what it refuses."""

import csv
import json
import math

import numpy as np
import pytest
from PIL import Image

from supervegan_jax.rate_distortion import tables
from supervegan_jax.rate_distortion.curves import Point
from supervegan_jax.study.__main__ import main
from supervegan_jax.study.votes import REQUIRED

LADDER = (100, 200, 400, 800)
# Of ten votes at each reference, those for it; the last never reaches a half.
SHARES = {("net", 150): (1, 3, 7, 9), ("net", 300): (1, 2, 5, 8), ("other", 150): (0, 0, 1, 1)}


@pytest.fixture(scope="module")
def votes(tmp_path_factory):
    """A CSV of the six columns alone."""
    path = tmp_path_factory.mktemp("votes") / "votes.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(REQUIRED)
        for clip in range(6):
            for (model, kbps), shares in SHARES.items():
                for place, (reference, share) in enumerate(zip(LADDER, shares, strict=True)):
                    for number in range(10):
                        wins = (number + 3 * clip + 5 * place) % 10 < share
                        prefer = "reference" if wins else "model"
                        writer.writerow([f"o{number}", f"c{clip}", model, kbps, reference, prefer])
    return path


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A finished run of the same clips; PSNR finds a model worth twice its bitrate."""
    points = []
    for clip in range(6):
        for kbps in LADDER:
            scores = {"psnr": 10 * math.log10(kbps)}
            points.append(Point(f"c{clip}", "h264", "codec", 1, kbps, 1.1 * kbps, 0.1, scores))
        for model, kbps in SHARES:
            scores = {"psnr": 10 * math.log10(2 * kbps)}
            points.append(Point(f"c{clip}", "h264", model, 4, kbps, 1.1 * kbps, 0.1, scores))
    folder = tmp_path_factory.mktemp("rd")
    (folder / "rd.json").write_text(tables.to_json({}, points, [], [], []))
    return folder


def test_from_votes_to_everything(votes, run_folder, tmp_path, capsys):
    output, plots = tmp_path / "found.json", tmp_path / "plots"
    words = ["analyse", str(votes), "--json", str(output), "--plots", str(plots)]
    assert main([*words, "--rd", str(run_folder), "--resamples", "400"]) is None
    content = json.loads(output.read_text())
    first, second, third = content["equivalent"]
    # Symmetric shares cross at the middle; the ends are golden, from 400 resamples.
    assert first == {
        "model": "net",
        "input_kbps": 150,
        "kbps": pytest.approx(math.sqrt(200 * 400), rel=1e-4),
        "low": pytest.approx(240, rel=0.03),
        "high": pytest.approx(333, rel=0.03),
    }
    assert first["kbps"] ** 2 == pytest.approx(first["low"] * first["high"], rel=0.03)
    assert list(second) == list(first)
    assert 380 < second["kbps"] < 420
    assert third == {
        "model": "other",
        "input_kbps": 150,
        "kbps": None,
        "low": None,
        "high": None,
        "beyond": "above",
    }
    fits = content["fits"]
    assert [fit["linear_kbps"] for fit in fits] == [300, 400, None]
    assert fits[2]["linear_beyond"] == "above"
    assert fits[0]["references"][1]["prefer_reference"] == pytest.approx(0.3)
    assert (content["observers"], content["votes"], len(content["clips"])) == (10, 720, 6)
    assert content["screening"]["dropped"] == []
    assert len(content["screening"]["not_run"]) == 3
    assert len(content["bradley_terry"]) == 3 + 4
    by_metric = {(e["model"], e["input_kbps"]): e["kbps"] for e in content["metric_equivalents"]}
    assert by_metric == {
        ("net", 150): pytest.approx(300),
        ("net", 300): pytest.approx(600),
        ("other", 150): pytest.approx(300),
    }
    (psnr,) = content["predictions"]
    # Found better at 100 and 200 (and 400 of the second): the model; above: the reference.
    right = (9 + 7 + 7 + 9) + (9 + 8 + 5 + 8) + (10 + 10 + 1 + 1)
    assert psnr["measures"]["accuracy"]["value"] == pytest.approx(right / 120)
    drawn = sorted(path.name for path in plots.iterdir())
    assert drawn == [
        "equivalent.png",
        "votes_net_150.png",
        "votes_net_300.png",
        "votes_other_150.png",
    ]
    for path in plots.iterdir():
        assert np.asarray(Image.open(path).convert("RGB")).std() > 10
    out = capsys.readouterr().out
    assert "10 observers, 0 dropped; 720 votes on 6 clips" in out
    assert "could not run: side bias" in out
    assert "above the ladder" in out
    assert "mean factor between people and metric" in out


def test_some_clips_and_the_same_numbers_again(votes, tmp_path, capsys):
    words = ["analyse", str(votes), "--clips", "c1,c4", "--resamples", "100", "--json"]
    texts = []
    for name in ("one.json", "two.json"):
        main([*words, str(tmp_path / name)])
        texts.append((tmp_path / name).read_text())
    assert texts[0] == texts[1]
    assert json.loads(texts[0])["clips"] == ["c1", "c4"]
    assert json.loads(texts[0])["votes"] == 240
    capsys.readouterr()


def test_one_observer_on_one_clip_has_no_intervals(votes, run_folder, tmp_path, capsys):
    lines = votes.read_text().splitlines()
    alone = [lines[0], *(line for line in lines if line.startswith("o1,c1,net,"))]
    path, output = tmp_path / "alone.csv", tmp_path / "found.json"
    path.write_text("\n".join(alone) + "\n")
    main(["analyse", str(path), "--rd", str(run_folder), "--json", str(output)])
    content = json.loads(output.read_text())
    assert {(e["low"], e["high"]) for e in content["equivalent"]} == {(None, None)}
    scores = content["bradley_terry"]
    assert {(s["low"], s["high"]) for s in scores} == {(None, None)}
    assert all(math.isfinite(s["score"]) for s in scores) and len(scores) == 2 + 4
    table = capsys.readouterr().out.split("Bradley-Terry scores")[1]
    assert [line.split()[-1] for line in table.splitlines()[1:7]] == ["-"] * 6


def test_dropped_observers_are_named(votes, tmp_path, capsys):
    lines = votes.read_text().splitlines()
    head = lines[0] + ",kind,correct"
    rows = [line + ",plain," for line in lines[1:]]
    rows += ["o3,c0,original,0,75,reference,catch,model"] * 3
    rows += ["o4,c0,original,0,75,model,catch,model"] * 3
    path = tmp_path / "votes.csv"
    path.write_text("\n".join([head, *rows]) + "\n")
    main(["analyse", str(path), "--resamples", "100", "--json", str(tmp_path / "found.json")])
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["screening"]["dropped"] == [
        {"observer": "o3", "reasons": ["0 of 3 catch pairs right"]}
    ]
    assert (found["observers"], found["votes"]) == (9, 648)
    assert "o3: 0 of 3 catch pairs right" in capsys.readouterr().out
    only_poor = tmp_path / "poor.csv"
    only_poor.write_text("\n".join([head, *(row for row in rows if row.startswith("o3"))]) + "\n")
    with pytest.raises(ValueError, match="the screening drops all 1 observers"):
        main(["analyse", str(only_poor)])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--clips", "c9"], "clip 'c9' has no votes; those that have: c0, c1"),
        (["--clips", ","], "clips ','; names with commas"),
        (["--confidence", "1"], "confidence 1; accepted is 0.5 to less than 1"),
        (["--confidence", "nan"], "confidence nan; accepted"),
        (["--max-lapse", "0.9"], "max lapse 0.9; accepted is 0 to 0.5"),
        (["--resamples", "1"], "resamples 1; accepted is 50"),
        (["--seed", "-1"], "seed -1; accepted is 0 or more"),
        (["--catch-rate", "0.2"], "catch rate 0.2; accepted is at least 0.5"),
        (["--screen-level", "nan"], "level nan; accepted is at least 0"),
        (["--rd", "nowhere"], "no nowhere/rd.json; make it with"),
        (["--json", "nowhere/x.json"], "there is no folder"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
    ],
)
def test_rubbish_is_refused_in_one_line(votes, more, said):
    with pytest.raises(ValueError, match=said):
        main(["analyse", str(votes), *more])


def test_files_without_votes_are_refused(votes, run_folder, tmp_path):
    empty = tmp_path / "empty.csv"
    empty.write_text(",".join(REQUIRED) + "\n")
    with pytest.raises(ValueError, match=r"empty\.csv holds no votes"):
        main(["analyse", str(empty)])
    with pytest.raises(ValueError, match="would be written over"):
        main(["analyse", str(votes), "--json", str(votes)])
    for name in ("votes.sqlite", "plan.json", "admin.token", "mturk.salt"):
        with pytest.raises(ValueError, match=rf"{name} would be written over"):
            main(["analyse", str(tmp_path), "--json", str(tmp_path / name)])
    with pytest.raises(ValueError, match=r"rd\.json would be written over"):
        json_path = str(run_folder / "rd.json")
        main(["analyse", str(votes), "--rd", str(run_folder), "--json", json_path])
    with pytest.raises(ValueError, match="is a file; the plots need a folder"):
        main(["analyse", str(votes), "--plots", str(empty)])
    with pytest.raises(ValueError, match="codec 'av1'; this run has h264"):
        main(["analyse", str(votes), "--rd", str(run_folder), "--codec", "av1"])
    with pytest.raises(ValueError, match=r"has no votes\.sqlite; serve and import-mturk make it"):
        main(["analyse", str(tmp_path)])
    with pytest.raises(OSError, match="No such file"):
        main(["analyse", str(tmp_path / "none.csv")])
