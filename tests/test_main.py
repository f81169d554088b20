"""The main command as a user types it, on a real clip, and what it says to wrong input."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from quick_compiler import QUICK_COMPILER

from configs import base
from configs import tiny as tiny_config
from supervegan_jax import job
from supervegan_jax.job import note_changes
from supervegan_jax.training.parallel import share_cores
from supervegan_jax.training.workdir import locked, write_json

ROOT = Path(__file__).parents[1]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "supervegan_jax.main", *map(str, arguments)]
    environment = {**os.environ, "XLA_FLAGS": QUICK_COMPILER}  # one device, as most users have
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def tiny(workdir: Path, *changes: str) -> subprocess.CompletedProcess[str]:
    return run("--config", "configs/tiny.py", "--workdir", workdir, *changes)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """One run of the tiny config on the embedded clip."""
    workdir = tmp_path_factory.mktemp("runs") / "tiny run's"
    done = tiny(workdir, "--config.data.videos=embedded")
    assert done.returncode == 0, done.stderr
    return workdir, done


def test_it_writes_summary_picture_metrics_and_checkpoints(trained):
    workdir, done = trained
    summary = json.loads((workdir / "summary.json").read_text())
    assert set(summary) == {"step", "rows", "input_kbps", "seconds", "clips"}
    assert list(summary["clips"].values()) == [summary["rows"]]  # there is one clip
    assert set(summary["rows"]) == {"bicubic", "h264", "stage_a", "stage_b"}
    for row in summary["rows"].values():
        assert 15 < row["psnr"] < 45
        assert 0 < row["lpips"] < 1
    assert summary["input_kbps"] == pytest.approx(250, rel=0.15)
    picture = np.asarray(Image.open(workdir / "side_by_side.png"))
    assert picture.shape == (480 + 28, 5 * 480, 3)
    steps = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert {r["phase"] for r in steps} == {"stage_a", "blend", "full"}
    assert "stage B" in done.stdout
    assert "phase 3/3 full" in done.stderr
    config = json.loads((workdir / "config.json").read_text())
    assert config["config"]["phases"]["blend"]["steps"] == 4


def test_the_same_command_again_ends_with_the_same_scores(trained):
    workdir, _ = trained
    before = json.loads((workdir / "summary.json").read_text())["rows"]
    done = tiny(workdir, "--config.data.videos=embedded")
    assert done.returncode == 0, done.stderr
    assert "going on from the checkpoint of step 12" in done.stdout
    assert json.loads((workdir / "summary.json").read_text())["rows"] == before


@pytest.mark.slow
def test_jit_accumulation_and_the_memory_source_by_config(trained, tmp_path):
    records = trained[0] / "data" / "records"
    done = tiny(
        tmp_path,
        f"--config.data.records={records}",
        "--config.data.source=memory",
        "--config.parallel=jit",
        "--config.data.batch_size=8",
        "--config.optimizer.accumulate=2",
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "summary.json").read_text())["rows"]["stage_b"]["psnr"] > 15


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    lines = [line for line in done.stderr.splitlines() if line]
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0]


def test_wrong_flags_are_one_line(tmp_path):
    assert_one_line(run("--workdir", tmp_path), "--config is missing")
    assert_one_line(run(), "--config is missing")
    told = run("--config", "configs/tiny.py", "--help")
    assert told.returncode == 0 and "--workdir" in told.stdout, told.stderr
    assert_one_line(tiny(tmp_path, "--config.data.btch_size=3"), "btch_size", "batch_size")
    assert_one_line(tiny(tmp_path, "--config.data.batch_size=many"), "batch_size", "many")
    assert_one_line(tiny(tmp_path), "data.records", "data.videos")
    assert_one_line(run("--config", "configs/no.py", "--workdir", tmp_path), "configs/no.py")
    missing = "--config.data.records=nowhere"
    assert_one_line(tiny(tmp_path, missing), "data.records 'nowhere': there is no such folder")
    accumulate = tiny(tmp_path, missing, "--config.optimizer.accumulate=0")
    assert_one_line(accumulate, "optimizer.accumulate is 0; 1 or more is accepted")


def test_records_of_another_scale_are_refused(trained, tmp_path):
    records = trained[0] / "data" / "records"
    done = tiny(tmp_path, f"--config.data.records={records}", "--config.model.scale=2")
    assert_one_line(done, "are scale 4, the config asks for 2")
    done = tiny(tmp_path, f"--config.data.records={records}", "--config.data.patch_size=32")
    assert_one_line(done, "patches of 16 pixels, the config asks for 32")


def test_a_checkpoint_of_another_model_is_refused_and_kept(trained):
    workdir, _ = trained
    done = tiny(workdir, "--config.data.videos=embedded", "--config.model.trunk_blocks=2")
    assert done.returncode == 2
    assert_one_line(done, "of another model: its config field model.trunk_blocks is 1, not 2")
    assert (workdir / "checkpoints" / "12").is_dir()
    config = json.loads((workdir / "config.json").read_text())["config"]
    assert config["model"]["trunk_blocks"] == 1


@pytest.mark.slow
def test_a_run_starts_from_the_weights_named(trained, tmp_path):
    workdir, _ = trained
    records = f"--config.data.records={workdir / 'data' / 'records'}"
    first = f"--config.initial_weights={workdir}"
    none = [f"--config.phases.{name}.steps={int(name == 'full')}" for name in ("blend", "full")]
    still = [*none, "--config.phases.stage_a.steps=0", "--config.optimizer.schedule=constant"]
    still.append("--config.optimizer.learning_rate=1e-12")
    done = tiny(tmp_path, records, first, *still)
    assert done.returncode == 0, done.stderr
    rows, before = (
        json.loads((run / "summary.json").read_text())["rows"] for run in (tmp_path, workdir)
    )
    assert rows["stage_b"]["psnr"] == pytest.approx(before["stage_b"]["psnr"], abs=1e-3)
    done = tiny(tmp_path / "other", records, first, "--config.model.trunk_blocks=2")
    assert_one_line(done, "it is of another model")
    videos = "--config.data.videos=embedded"
    done = tiny(tmp_path / "none", videos, "--config.initial_weights=nobody")
    assert_one_line(done, "no model 'nobody'")
    assert not (tmp_path / "none" / "data").exists()


def test_records_without_held_out_frames_are_trained_on_and_not_scored(trained, tmp_path, capsys):
    shutil.copytree(trained[0] / "data", tmp_path / "data")
    records = tmp_path / "data" / "records"
    path = records / "preparation.json"
    preparation = json.loads(path.read_text())
    path.write_text(json.dumps({**preparation, "validation": []}))
    config = tiny_config.get_config()
    config.data.records = str(records)
    config.phases = base.three_phases((2, 0, 0))
    (tmp_path / "run").mkdir()
    job.train(config, tmp_path / "run")
    assert (tmp_path / "run" / "checkpoints" / "2").is_dir()
    assert list(json.loads((tmp_path / "run" / "summary.json").read_text())) == ["step", "seconds"]
    assert "--holdout" in capsys.readouterr().out


@pytest.mark.slow
def test_clips_and_encodes_without_records_are_trained_on_from_memory(trained, tmp_path):
    shutil.copytree(
        trained[0] / "data", tmp_path / "data", ignore=shutil.ignore_patterns("records")
    )
    change = f"--config.data.records={tmp_path / 'data'}"
    steps = [f"--config.phases.{name}.steps={n}" for name, n in {"blend": 0, "full": 0}.items()]
    done = tiny(tmp_path / "run", change, "--config.data.source=memory", *steps)
    assert done.returncode == 0, done.stderr
    assert "nothing is scored" in done.stdout
    assert list(json.loads((tmp_path / "run" / "summary.json").read_text())) == ["step", "seconds"]
    weights = "--config.data.clip_weights=('nobody*=2',)"
    done = tiny(tmp_path / "other", change, "--config.data.source=memory", weights)
    assert_one_line(done, "weight pattern 'nobody*' matches no clip")
    wrong = weights.replace("=2", "")
    done = tiny(tmp_path / "wrong", change, "--config.data.source=memory", wrong)
    assert_one_line(done, "data.clip_weights 'nobody*': must look like GLOB=0.5")


@pytest.mark.slow
def test_a_corrupted_record_is_named(trained, tmp_path):
    source = trained[0] / "data"
    shutil.copytree(source, tmp_path / "data")
    shard = next((tmp_path / "data" / "records").glob("*.tfrecord*"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 255
    shard.write_bytes(data)
    done = tiny(tmp_path / "run", f"--config.data.records={tmp_path / 'data' / 'records'}")
    assert done.returncode == 2
    assert shard.name in done.stderr.splitlines()[-1]


def test_unusable_workdirs_and_videos_are_one_line(tmp_path):
    (tmp_path / "file").write_text("no video")
    assert_one_line(tiny(tmp_path / "file" / "run"), "cannot be written")
    missing = tiny(tmp_path / "a", f"--config.data.videos={tmp_path / 'missing.mp4'}")
    assert_one_line(missing, "missing.mp4")
    assert_one_line(tiny(tmp_path / "b", f"--config.data.videos={tmp_path / 'file'}"), "file")
    with locked(tmp_path / "busy"):
        assert_one_line(tiny(tmp_path / "busy"), "another run is using")


def test_a_changed_field_is_told_by_its_name(tmp_path, capsys):
    config = base.get_config()
    write_json(tmp_path / "config.json", {"config": config.to_dict()})
    note_changes(config, tmp_path / "config.json")
    assert capsys.readouterr().out == ""
    config.phases.blend.steps = 7
    note_changes(config, tmp_path / "config.json")
    said = capsys.readouterr().out
    assert said == "note: config field phases.blend.steps was 156250 and is 7\n"


def test_a_run_that_has_begun_keeps_its_discriminator_and_its_first_weights(tmp_path, capsys):
    config = base.get_config()
    before = config.to_dict()
    del before["discriminator"]["halvings"]  # as before there was such a field
    write_json(tmp_path / "config.json", {"config": before})
    (tmp_path / "checkpoints" / "10").mkdir(parents=True)
    config.initial_weights = "nobody"
    note_changes(config, tmp_path / "config.json")
    assert "is nobody, which a run that has begun does not read\n" in capsys.readouterr().out
    config.discriminator.width = 8
    with pytest.raises(ValueError, match=r"another model: .* discriminator.width is 64, not 8; ta"):
        note_changes(config, tmp_path / "config.json")


def test_a_limit_of_gradients_is_not_put_on_on_the_way(tmp_path):
    config = base.get_config()
    write_json(tmp_path / "config.json", {"config": config.to_dict()})
    (tmp_path / "checkpoints" / "10").mkdir(parents=True)
    config.optimizer.max_gradient_norm = 0.5
    with pytest.raises(ValueError, match=r"with optimizer.max_gradient_norm 0.0, not 0.5: a limit"):
        note_changes(config, tmp_path / "config.json")


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"config": {}}', '{"config": 3}'])
def test_a_damaged_config_is_named(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config\.json is not a training run's config$"):
        note_changes(base.get_config(), tmp_path / "config.json")


def test_a_workdir_from_before_a_field_goes_on(tmp_path, capsys):
    config = base.get_config()
    before = config.to_dict()
    del before["model"]["detail_floor"]
    write_json(tmp_path / "config.json", {"config": before})
    (tmp_path / "checkpoints" / "10").mkdir(parents=True)
    note_changes(config, tmp_path / "config.json")
    assert capsys.readouterr().out == "note: config field model.detail_floor was None and is 0.0\n"
    config.model.detail_floor = 1.0
    with pytest.raises(ValueError, match=r"its config field model.detail_floor is None, not 1.0"):
        note_changes(config, tmp_path / "config.json")


@pytest.mark.parametrize(
    ("cores", "batch_size", "accumulate", "devices"),
    [(2, 8, 1, 2), (3, 8, 1, 2), (2, 8, 4, 2), (2, 8, 8, 1), (16, 6, 1, 6), (4, 1, 1, 1)],
)
def test_cores_share_a_batch_that_they_can_split(
    monkeypatch, cores, batch_size, accumulate, devices
):
    # XLA_FLAGS of these tests names the number of devices, so that nothing is changed.
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    assert share_cores(batch_size, accumulate) == devices
