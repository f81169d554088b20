"""A search's study: counted, shared, interrupted, killed and resumed; then one real search."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from supervegan_jax.search import __main__ as command
from supervegan_jax.search.sampler import ParetoES
from supervegan_jax.search.space import Field
from supervegan_jax.search.trials import (
    Interrupted,
    begin_study,
    check_choice,
    open_study,
    work,
)
from supervegan_jax.training.workdir import locked

ROOT = Path(__file__).parents[1]
SPACE = (Field("width", (8, 16, 24, 32)), Field("blocks", (0, 1, 2)), Field("kernel", (1, 3)))
SEED = {"width": 32, "blocks": 2, "kernel": 3}
SETTINGS = {"steps": 100, "config": {"model": {"width": 32, "temporal_widths": (24, 32)}}}


def open_here(folder, *, grace_seconds=120, seed=0):
    sampler = ParetoES(SPACE, seed)
    url = f"sqlite:///{folder}/study.db"
    return open_study(url, SPACE, sampler, grace_seconds=grace_seconds)


def fake(trial, point):
    """A score without training."""
    trial.set_user_attr("macs", point["width"])
    trial.set_user_attr("parameters", 1)
    return float(point["width"]), 1.0 / (1 + point["blocks"]), float(sum(point.values()))


def run(folder, trials, objective=fake, **options):
    with locked(folder / "beginning", wait=True):  # as `runner.search` does
        study = open_here(folder, **options)
        begin_study(study, SETTINGS, [SEED])
    work(study, SPACE, objective, trials, folder)
    return study


def states(study):
    return [trial.state for trial in study.get_trials(deepcopy=False)]


def test_trials_are_those_of_the_whole_study(tmp_path):
    first = run(tmp_path, 3)
    assert states(first) == [TrialState.COMPLETE] * 3
    assert first.trials[0].params == SEED and first.trials[0].user_attrs["seed"]
    asked = []
    run(tmp_path, 3, lambda trial, point: asked.append(point))
    assert asked == []
    assert states(run(tmp_path, 5)) == [TrialState.COMPLETE] * 5


def test_the_same_seed_tries_the_same_candidates(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    one, two = (run(tmp_path / name, 4) for name in ("a", "b"))
    other = run(tmp_path / "c", 4, seed=1)
    assert [t.params for t in one.trials] == [t.params for t in two.trials]
    assert [t.params for t in one.trials] != [t.params for t in other.trials]


def test_a_study_of_another_search_is_refused(tmp_path):
    study = run(tmp_path, 1)
    begin_study(study, SETTINGS, [SEED])
    other = {"steps": 100, "config": {"model": {**SETTINGS["config"]["model"], "width": 24}}}
    with pytest.raises(ValueError, match=r"begun with config.model.width 32, not 24"):
        begin_study(study, other, [SEED])
    assert len(study.trials) == 1


def test_a_damaged_study_is_told(tmp_path):
    (tmp_path / "study.db").write_text("no database")
    with pytest.raises(ValueError, match=r"cannot be opened: .*not a database"):
        open_here(tmp_path)


def test_stopped_candidates_count_and_have_no_scores(tmp_path):
    def objective(trial, point):
        if trial.number == 1:
            raise optuna.TrialPruned("hopeless")
        return fake(trial, point)

    study = run(tmp_path, 3, objective)
    assert states(study) == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE]
    assert study.trials[1].values is None
    check_choice(study, 3, 2)
    check_choice(study, 5, 4)
    for chosen, trials, message in (
        (1, 3, "--choose 1: that trial was not completed"),
        (3, 3, "--choose 3; 0 to 2 is accepted"),
        (3, 1, "--choose 3; 0 to 2 is accepted"),
        (5, 5, "--choose 5; 0 to 4 is accepted"),
        (-1, 3, "--choose -1; 0 to 2 is accepted"),
    ):
        with pytest.raises(ValueError, match=message):
            check_choice(study, trials, chosen)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interrupted("stopped by SIGTERM", 143)])
def test_an_interrupted_candidate_is_queued_again(error, tmp_path):
    def objective(trial, point):
        trial.set_user_attr("rungs", {"50": (25.0, 0.3)})
        raise error

    with pytest.raises(type(error)):
        run(tmp_path, 2, objective)
    study = run(tmp_path, 2)
    assert states(study) == [TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]
    assert study.trials[1].params == SEED  # with what was known of it
    assert study.trials[1].user_attrs["seed"] and study.trials[1].user_attrs["rungs"]
    check_choice(study, 2, 2)  # two are finished, and their numbers are 1 and 2
    with pytest.raises(ValueError, match="--choose 3; 0 to 2"):
        check_choice(study, 2, 3)


def test_a_process_that_died_while_asking_leaves_no_trial_behind(tmp_path):
    study = open_here(tmp_path)
    begin_study(study, SETTINGS, [SEED])
    with pytest.warns(UserWarning, match="Heartbeat"):
        study.ask()  # the seed's trial runs, and nobody will ever work on it
    work(study, SPACE, fake, 2, tmp_path)
    assert states(study) == [TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]
    assert study.trials[1].params == SEED


def test_a_worker_outlives_the_loss_of_its_trial(tmp_path, capsys):
    def objective(trial, point):
        if trial.number == 0:  # as another worker does with a trial that is silent for long
            trial.study.tell(trial.number, state=TrialState.FAIL)
        return fake(trial, point)

    study = run(tmp_path, 2, objective)
    assert states(study) == [TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]
    assert "trial 0 was silent for so long" in capsys.readouterr().out


# A worker whose first candidate of the process takes as long as the argument says.
WORKER = """
import sys, time
from pathlib import Path
sys.path.insert(0, "tests")
import test_search_trials as t
folder, trials, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
def slow(trial, point):
    (folder / "working").write_text(str(trial.number))
    time.sleep(seconds)
    return t.fake(trial, point)
t.run(folder, trials, slow, grace_seconds=2)
"""


def start(folder, trials, seconds):
    arguments = [sys.executable, "-c", WORKER, str(folder), str(trials), str(seconds)]
    return subprocess.Popen(arguments, cwd=ROOT, stderr=subprocess.PIPE)


def end(process):
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors.decode()


def test_a_killed_candidate_is_taken_up_again(tmp_path):
    killed = start(tmp_path, 4, 60)
    while not (tmp_path / "working").exists():
        assert killed.poll() is None
        time.sleep(0.05)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    end(start(tmp_path, 4, 0))
    study = open_here(tmp_path)
    found = states(study)
    assert found.count(TrialState.COMPLETE) == 4
    assert found[0] == TrialState.FAIL and len(found) == 5
    points = [tuple(trial.params.items()) for trial in study.trials[1:]]
    assert tuple(SEED.items()) in points and len(set(points)) == 4


def test_two_workers_share_the_trials(tmp_path):
    workers = [start(tmp_path, 8, 0.2) for _ in range(2)]
    for worker in workers:
        end(worker)
    study = open_here(tmp_path)
    assert states(study) == [TrialState.COMPLETE] * 8
    assert len({tuple(trial.params.items()) for trial in study.trials}) == 8


CONFIG = """
from configs import tiny

def get_config():
    c = tiny.get_config()
    c.data.videos = ("embedded",)
    c.data.source = "memory"
    c.data.max_frames = 8
    return c
"""


@pytest.mark.slow
def test_a_search_from_the_clip_to_the_chosen_config(tmp_path, capsys):
    config, workdir = tmp_path / "tiny_in_memory.py", tmp_path / "search"
    config.write_text(CONFIG)
    flags = ["--config", str(config), "--workdir", str(workdir), "--steps", "12"]
    flags += ["--frames", "1", "--max-macs", "3e9", "--timing-seconds", "0.1", "--cost", "macs"]
    # Nine: the base, six known networks above the limit, two mutants.
    command.main([*flags, "--trials", "9"])
    text = capsys.readouterr().out
    assert "3 candidates completed, 6 stopped or too costly" in text
    front = json.loads((workdir / "front.json").read_text())
    assert front and all(15 < entry["psnr"] < 45 and 0 < entry["lpips"] < 1 for entry in front)
    assert all(entry["macs"] <= 3e9 and entry["ms"] > 0 for entry in front)
    assert not list((workdir / "candidates").glob("*/checkpoints"))
    trials = json.loads((workdir / "trials.json").read_text())
    assert set(trials[0]["rungs"]) == {"2", "4"}
    command.main([*flags, "--trials", "9"])  # prints and writes again, and trains nothing
    assert capsys.readouterr().out in text
    with pytest.raises(ValueError, match="begun with steps 12, not 24"):
        command.main([*flags, "--trials", "9", "--steps", "24"])
    arguments = ["--config", workdir / "chosen.py", "--workdir", tmp_path / "run"]
    trained = subprocess.run(
        [sys.executable, "-m", "supervegan_jax.main", *map(str, arguments)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert trained.returncode == 0, trained.stderr
    written = json.loads((tmp_path / "run" / "config.json").read_text())["config"]["model"]
    assert written in [entry["config"] for entry in front]


@pytest.mark.slow
def test_two_workers_killed_and_resumed_by_the_same_command(tmp_path):
    config, workdir = tmp_path / "tiny_in_memory.py", tmp_path / "search"
    config.write_text(CONFIG)
    words = ["--config", config, "--workdir", workdir, "--steps", 12, "--frames", 1, "--workers", 2]
    words += ["--max-macs", 3e9, "--timing-seconds", 0.1, "--trials", 10]
    words = [sys.executable, "-m", "supervegan_jax.search", *map(str, words)]
    killed = subprocess.Popen(words, cwd=ROOT, start_new_session=True)
    while not list(workdir.glob("candidates/*/metrics.jsonl")):
        assert killed.poll() is None
        time.sleep(0.1)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    done = subprocess.run(words, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    trials = json.loads((workdir / "trials.json").read_text())
    points = [
        json.dumps(trial["point"], sort_keys=True)
        for trial in trials
        if trial["state"] in ("complete", "pruned")
    ]
    assert len(points) >= 10 and len(set(points)) == len(points)  # a worker may finish one more
    scored = [trial for trial in trials if trial["state"] == "complete"]
    assert len(scored) >= 3 and all(15 < trial["psnr"] < 45 for trial in scored)
