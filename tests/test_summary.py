import json
import math
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from supervegan_jax import summary
from supervegan_jax.data.validation import ValidationClip
from supervegan_jax.training.evaluation import mean_scores
from supervegan_jax.training.metric_writer import MetricWriter
from supervegan_jax.training.workdir import locked


def test_mean_scores_by_hand():
    rows = [{"a": {"psnr": 20.0, "lpips": 0.1}}, {"a": {"psnr": 30.0, "lpips": 0.3}}]
    assert mean_scores(rows) == {"a": {"psnr": 25.0, "lpips": pytest.approx(0.2)}}
    # A picture equal to its reference is no reason to know nothing of the others.
    rows.append({"a": {"psnr": math.inf, "lpips": 0.0}})
    assert mean_scores(rows)["a"]["psnr"] == 25.0
    assert mean_scores(rows[-1:])["a"]["psnr"] == math.inf
    with pytest.raises(ValueError, match="no held-out frames"):
        mean_scores([])


def test_equal_pictures_are_told_and_written_as_strict_json(tmp_path):
    row, equal = ({"bicubic": {"psnr": psnr, "lpips": 0.1}} for psnr in (20.0, math.inf))
    assert summary.left_out([row, row]) == []
    assert summary.left_out([row, equal, row]) == [
        "input, bicubic: psnr is infinite in 1 of 3 frames, whose pictures are identical; "
        "the mean is over the others"
    ]
    assert summary.to_json(equal) == {"bicubic": {"psnr": "Infinity", "lpips": 0.1}}
    writer = MetricWriter(tmp_path)
    writer.write_scores(3, "full", {"stage_b_psnr": math.inf})
    writer.close()
    line = json.loads((tmp_path / "metrics.jsonl").read_text(), parse_constant=pytest.fail)
    assert line == {"step": 3, "phase": "full", "stage_b_psnr": "Infinity"}


@pytest.mark.parametrize("kbps", [(7.2, 6.8), (7.2, 60.0)])
def test_every_input_of_a_clip_has_its_scores(tmp_path, kbps, monkeypatch):
    hr = np.zeros((1, 40, 40, 3), np.uint8)
    clips = [
        ValidationClip("a", hr[:, ::2, ::2], hr, 0, None, 25.0, k, np.zeros((1, 1), int))
        for k in kbps
    ]
    monkeypatch.setattr(
        summary, "frame_pictures", lambda *_: iter([{"bicubic": hr[0], "reference": hr[0]}])
    )
    evaluator = SimpleNamespace(score=lambda x, y: {"psnr": 30.0, "lpips": 0.1})
    _, of_clips, _ = summary.summarize(evaluator, {}, clips, tmp_path)
    second = "a at 7 kbit/s (2)" if kbps[1] < 7 else "a at 60 kbit/s"
    assert list(of_clips) == ["a at 7 kbit/s", second]


def test_sharpest_square_finds_the_detail():
    image = np.zeros((64, 96, 3), np.uint8)
    image[32:64, 48:80] = np.random.default_rng(0).integers(0, 256, (32, 32, 3))
    assert summary.sharpest_square(image, 32) == (32, 48)


def test_side_by_side_shows_the_same_square_of_each(tmp_path):
    pictures = {
        "bicubic": np.full((40, 60, 3), 10, np.uint8),
        "reference": np.full((40, 60, 3), 200, np.uint8),
    }
    summary.draw_side_by_side(pictures, tmp_path / "s.png", side=40)
    drawn = np.asarray(Image.open(tmp_path / "s.png"))
    assert drawn.shape == (60 + 28, 120, 3)
    assert (drawn[30:, :60] == 10).all()
    assert (drawn[30:, 60:] == 200).all()
    assert [path.name for path in tmp_path.iterdir()] == ["s.png"]


def test_metric_lines_past_the_restored_step_are_written_anew(tmp_path):
    writer = MetricWriter(tmp_path)
    for step in (1, 2, 3):
        writer.write(step, {"phase": "full", "mse": float(jnp.float32(step))})
    writer.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "ms')  # what a kill leaves
    writer = MetricWriter(tmp_path, first_step=2)
    writer.write(3, {"mse": 30.0})
    writer.close()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["mse"]) for line in lines] == [(1, 1.0), (2, 2.0), (3, 30.0)]


def test_two_runs_in_one_workdir_are_refused(tmp_path):
    message = f"another run is using the workdir {tmp_path}"
    with locked(tmp_path), pytest.raises(ValueError, match=message), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_a_workdir_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    missing = tmp_path / "file" / "run"
    with pytest.raises(OSError, match=f"the workdir {missing} cannot be written"), locked(missing):
        pass
