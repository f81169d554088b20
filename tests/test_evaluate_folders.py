"""`evaluate score` of two folders of videos."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from video_samples import ffmpeg, make_video

from supervegan_jax import evaluate
from supervegan_jax.evaluation import results, video_folders
from supervegan_jax.evaluation.comparison import ScoreOptions, compare
from supervegan_jax.evaluation.results import Scores

PSNR = ScoreOptions(("psnr",))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two folders of two clips each, of 6 and 3 frames."""
    root = tmp_path_factory.mktemp("folders")
    truth, coded = root / "truth", root / "coded"
    truth.mkdir()
    coded.mkdir()
    for name, frames in (("one", 6), ("two", 3)):
        clip = make_video(truth / f"{name}.mkv", frames=frames, size="64x48")
        ffmpeg("-i", f"file:{clip}", "-c:v", "libx264", "-crf", "40", f"file:{coded / name}.mp4")
    return truth, coded


def test_clips_are_paired_by_name_and_count_alike(folders, tmp_path, capsys):
    files = {kind: tmp_path / f"scores.{kind}" for kind in ("json", "csv")}
    words = ["--metrics", "psnr", "--json", str(files["json"]), "--csv", str(files["csv"])]
    evaluate.main(["score", *map(str, folders), *words])
    alone = [
        compare(folders[0] / f"{name}.mkv", folders[1] / f"{name}.mp4", PSNR).mean("psnr")
        for name in ("one", "two")
    ]
    content = json.loads(files["json"].read_text())
    assert content["clips"] == [
        {"name": "one", "frames": 6, "psnr": pytest.approx(alone[0], abs=1e-9)},
        {"name": "two", "frames": 3, "psnr": pytest.approx(alone[1], abs=1e-9)},
    ]
    assert content["mean"]["psnr"] == pytest.approx(np.mean(alone))
    names = [frame["name"] for frame in content["frames"]]
    assert (names[0], names[-1], len(names)) == ("one/000000", "two/000002", 9)
    with open(files["csv"], newline="") as file:
        rows = {row["name"]: row["psnr"] for row in csv.DictReader(file)}
    assert float(rows["mean of two"]) == pytest.approx(alone[1])
    assert float(rows["mean"]) == pytest.approx(np.mean(alone))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["one", "two", "lowest", "highest", "mean"]
    assert lines[-1].startswith("mean of 2 clips")


def test_a_clip_that_is_identical_is_left_out_of_the_mean_and_said():
    clips = {
        "same": Scores(("psnr",), ["000000"], [{"psnr": float("inf")}]),
        "other": Scores(("psnr",), ["000000", "000001"], [{"psnr": 30.0}, {"psnr": 32.0}]),
    }
    means = video_folders.clip_means(clips)
    assert means.mean("psnr") == 31
    assert means.remarks() == [
        "same: psnr is infinite in 1 of 1 frames, whose pictures are identical",
        "psnr is infinite in 1 of 2 clips, whose pictures are identical; "
        "the mean is over the others",
    ]
    assert json.loads(video_folders.to_json(clips))["clips"][0]["psnr"] == "Infinity"
    assert "mean of 2 clips" in results.to_table(means)


def test_folders_that_do_not_match_are_refused(folders, tmp_path):
    truth, coded = folders
    (tmp_path / "one.mp4").write_bytes((coded / "one.mp4").read_bytes())
    with pytest.raises(ValueError, match=r"has no video 'two' to go with .*two\.mkv .1 missing"):
        video_folders.compare_videos(truth, tmp_path, PSNR)
    (tmp_path / "two.mp4").write_bytes((coded / "one.mp4").read_bytes())
    with pytest.raises(ValueError, match=r"two\.mkv ends after 3 frames"):
        video_folders.compare_videos(truth, tmp_path, PSNR)
    Image.new("RGB", (8, 8)).save(tmp_path / "two.png")
    with pytest.raises(ValueError, match=r"two\.png is no video; a folder to compare"):
        video_folders.compare_videos(truth, tmp_path, PSNR)
