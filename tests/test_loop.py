"""The loop: interrupted anywhere, the run ends with the same bits as one that was not."""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import jax
import numpy as np
import pytest
from conftest import PHASES, make_small_system, random_batch
from quick_compiler import QUICK_COMPILER

from supervegan_jax.training import loop
from supervegan_jax.training.checkpoints import Checkpoints
from supervegan_jax.training.loop import LoopOptions, Terminated
from supervegan_jax.training.parallel import Parallel
from supervegan_jax.training.phases import make_phases
from supervegan_jax.training.workdir import stop_flag

OPTIONS = LoopOptions(log_every=1, evaluate_every=0, checkpoint_every=2, keep_checkpoints=2)


def batches(phase, first_step):
    return (random_batch(step) for step in itertools.count(first_step))


def score(state, phase):
    return {f"{phase.name}_score": float(state.step)}


def train(
    workdir, system, phases, frozen, *, source=batches, options=OPTIONS, evaluate=score, **more
):
    return loop.train(
        workdir,
        system,
        phases,
        Parallel("pmap", jax.local_devices()[:1]),
        frozen,
        source,
        evaluate,
        options,
        scale=4,
        metadata={"config": {"scale": 4}, "git_revision": "abc"},
        **more,
    )


@pytest.fixture(scope="module")
def system(phases):
    return make_small_system(phases)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, system, phases, frozen):
    workdir = tmp_path_factory.mktemp("uninterrupted")
    return workdir, jax.device_get(train(workdir, system, phases, frozen))


def assert_same_bits(x, y):
    for ours, theirs in zip(jax.tree.leaves(x), jax.tree.leaves(y), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def records(workdir: Path) -> list[dict]:
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


class Interrupted(Exception):
    """Stands for whatever kills a run."""


@pytest.mark.parametrize("stop_at", [2, 5, 9])
def test_resume_equals_uninterrupted_in_each_phase(
    tmp_path, system, phases, frozen, uninterrupted, stop_at
):
    def failing(phase, first_step):
        for step in itertools.count(first_step):
            if step == stop_at:
                raise Interrupted
            yield random_batch(step)

    with pytest.raises(Interrupted):
        train(tmp_path, system, phases, frozen, source=failing)
    resumed = train(tmp_path, system, phases, frozen)
    workdir, expected = uninterrupted
    assert_same_bits(jax.device_get(resumed), expected)
    timing = ("steps_per_second", "compile_seconds", "macs_per_step")
    ours, theirs = (
        {
            (r["step"], key): value
            for r in records(where)
            for key, value in r.items()
            if key not in timing
        }
        for where in (tmp_path, workdir)
    )
    assert ours == theirs


def test_every_step_is_logged_under_its_phase_with_its_terms(uninterrupted):
    workdir, _ = uninterrupted
    steps = {r["step"]: r for r in records(workdir) if "total" in r}
    assert sorted(steps) == list(range(1, 11))
    assert [steps[s]["phase"] for s in (3, 4, 7, 8)] == ["stage_a", "blend", "blend", "full"]
    assert "adversarial" not in steps[3]
    assert {"mse_a", "mse", "adversarial", "perceptual", "discriminator"} <= set(steps[4])
    compiled = [r for r in records(workdir) if "compile_seconds" in r]
    assert [r["phase"] for r in compiled] == ["stage_a", "blend", "full"]
    assert all(r["macs_per_step"] > 0 for r in compiled)
    evaluated = [r for r in records(workdir) if any(k.endswith("_score") for k in r)]
    assert [r["step"] for r in evaluated] == [3, 7, 10]


def test_checkpoints_carry_config_and_revision(uninterrupted):
    workdir, expected = uninterrupted
    checkpoints = Checkpoints(workdir / "checkpoints")
    assert checkpoints.steps() == [8, 10]
    metadata = checkpoints.metadata(10)
    assert metadata["config"] == {"scale": 4}
    assert (metadata["git_revision"], metadata["phase"]) == ("abc", "full")
    restored, _ = checkpoints.restore(expected)
    assert_same_bits(restored, expected)


def test_each_phase_compiles_once(tmp_path, system, phases, frozen):
    traces = []

    def perceptual(features, x, y):
        traces.append(x.shape)
        return jax.numpy.mean((x - y) ** 2)

    train(tmp_path, make_small_system(phases, perceptual=perceptual), phases, frozen)
    # Traced once in each of the two phases that weigh it.
    assert len(traces) == 2


def test_a_finished_run_does_nothing_more(tmp_path, system, phases, frozen, uninterrupted):
    workdir, expected = uninterrupted
    before = records(workdir)

    def never(phase, first_step):
        raise AssertionError("asked for batches")

    again = train(workdir, system, phases, frozen, source=never)
    assert_same_bits(jax.device_get(again), expected)
    assert records(workdir) == before


def test_a_loss_that_is_not_finite_stops_with_step_phase_and_term(tmp_path, phases, frozen):
    def blows_up(features, x, y):
        return jax.numpy.mean((x - y) ** 2) / 0.0

    system = make_small_system(phases, perceptual=blows_up)
    message = "perceptual.* not finite at step 4 of phase 'blend'; the last checkpoint is kept"
    with pytest.raises(ValueError, match=message):
        train(tmp_path, system, phases, frozen)
    assert Checkpoints(tmp_path / "checkpoints").steps() == [2, 3]


def raising(signum, at):
    """Batches; before that of step `at` the signal is raised."""

    def source(phase, first_step):
        for step in itertools.count(first_step):
            if step == at:
                os.kill(os.getpid(), signum)
            yield random_batch(step)

    return source


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_says_so(tmp_path, system, phases, frozen, uninterrupted, signum):
    options = LoopOptions(log_every=1, evaluate_every=0, checkpoint_every=0, keep_checkpoints=2)
    with pytest.raises(Terminated, match=f"{signum.name}, saved at step 5") as stop:
        train(tmp_path, system, phases, frozen, source=raising(signum, 5), options=options)
    assert stop.value.exit_code == 128 + signum
    assert Checkpoints(tmp_path / "checkpoints").steps()[-1] == 5
    resumed = train(tmp_path, system, phases, frozen)
    assert_same_bits(jax.device_get(resumed), uninterrupted[1])


@pytest.mark.parametrize("stop_at", [3, 10])
def test_a_signal_among_the_scores_ends_the_run(tmp_path, system, phases, frozen, stop_at):
    def interrupted(state, phase):
        if int(state.step) == stop_at:
            os.kill(os.getpid(), signal.SIGINT)
        return score(state, phase)

    with pytest.raises(Terminated, match=f"stopped by SIGINT, saved at step {stop_at}"):
        train(tmp_path, system, phases, frozen, evaluate=interrupted)
    assert Checkpoints(tmp_path / "checkpoints").steps()[-1] == stop_at


def test_the_second_ctrl_c_interrupts_at_once():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), stop_flag() as stopped:
        os.kill(os.getpid(), signal.SIGINT)
        assert stopped == [signal.SIGINT]
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("stop_at", [3, 10])
def test_scores_that_a_stop_left_out_are_made_up_for(
    tmp_path, system, phases, frozen, uninterrupted, stop_at
):
    def scores(workdir):
        return {r["step"]: r for r in records(workdir) if any(key.endswith("_score") for key in r)}

    def dies(state, phase):
        if int(state.step) == stop_at:
            raise Interrupted
        return score(state, phase)

    with pytest.raises(Interrupted):
        train(tmp_path, system, phases, frozen, evaluate=dies)
    assert stop_at not in scores(tmp_path)
    train(tmp_path, system, phases, frozen)
    assert scores(tmp_path) == scores(uninterrupted[0])


def test_a_run_past_the_configs_end_is_refused(system, phases, frozen, uninterrupted):
    workdir, _ = uninterrupted
    with pytest.raises(ValueError, match="is at step 10, after the 7 steps of the config's phases"):
        train(workdir, system, phases[:2], frozen)


def test_weights_to_begin_with_are_only_loaded_for_a_new_run(system, phases, frozen, uninterrupted):
    workdir, expected = uninterrupted

    def moved():
        raise AssertionError("asked for the first weights")

    again = train(workdir, system, phases, frozen, load_initial=moved)
    assert_same_bits(jax.device_get(again), expected)


def test_another_models_checkpoint_is_refused(tmp_path, system, phases, frozen):
    def never(phase, first_step):
        raise AssertionError("asked for batches")

    Checkpoints(tmp_path / "checkpoints").save({"step": np.int32(1)}, 1, {})
    with pytest.raises(ValueError, match="it is of another model: it lacks 'discriminator/"):
        train(tmp_path, system, phases, frozen, source=never)


KILLED_RUN = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import numpy as np
from conftest import PHASES, make_small_system
from supervegan_jax.training.phases import make_phases
import test_loop
phases = make_phases(tuple(PHASES), PHASES)
kernel = np.random.default_rng(5).normal(size=(3, 4)).astype(np.float32)
options = test_loop.LoopOptions(1, 0, 1, 2)
system = make_small_system(phases)
test_loop.train(Path(sys.argv[2]), system, phases, {"kernel": kernel}, options=options)
"""


def test_kill_9_around_a_save_costs_nothing(tmp_path, system, phases, frozen, uninterrupted):
    command = [sys.executable, "-c", KILLED_RUN, str(Path(__file__).parent), str(tmp_path)]
    environment = {**os.environ, "XLA_FLAGS": QUICK_COMPILER}
    # Saving after every step, the run is nearly always inside a save when it is killed.
    saves = tmp_path / "checkpoints"
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        waited = threading.Event()
        while process.poll() is None and not (saves / "4").exists():
            waited.wait(0.002)
        process.kill()
    step = Checkpoints(saves).steps()[-1]
    assert 4 <= step < 10
    resumed = train(tmp_path, system, make_phases(tuple(PHASES), PHASES), frozen)
    assert_same_bits(jax.device_get(resumed), uninterrupted[1])
