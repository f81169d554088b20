import gc
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from supervegan_jax.training.checkpoints import CheckpointError, Checkpoints, flatten

TREE = {
    "step": jnp.int32(3),
    "params": {"a": {"kernel": jnp.arange(6.0).reshape(2, 3)}, "b": jnp.zeros(4)},
    "nothing": {},
}


def test_round_trip_is_exact(tmp_path):
    checkpoints = Checkpoints(tmp_path / "c")
    checkpoints.save(TREE, 3, {"config": {"x": 1}, "git_revision": "abc"})
    restored, step = checkpoints.restore(TREE)
    assert step == 3
    assert jax.tree.structure(restored) == jax.tree.structure(TREE)
    for ours, theirs in zip(jax.tree.leaves(restored), jax.tree.leaves(TREE), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    metadata = checkpoints.metadata(3)
    assert metadata["config"] == {"x": 1}
    assert metadata["git_revision"] == "abc"


def test_only_the_newest_stay(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (1, 2, 3):
        checkpoints.save(TREE, step, {})
    assert checkpoints.steps() == [2, 3]
    assert Checkpoints(tmp_path).steps() == [2, 3]


def flip_bytes(directory: Path) -> None:
    """Damages the data files of a checkpoint in their middle."""
    files = [path for path in directory.rglob("*") if path.is_file() and path.parent.name == "d"]
    assert files
    for target in files:
        data = bytearray(target.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 8] = bytes(255 - b for b in data[middle : middle + 8])
        target.write_bytes(data)


# orbax leaves the reads that were under way when one failed to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_a_damaged_checkpoint_is_named_and_the_one_before_taken(tmp_path, capsys):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(TREE, 1, {})
    checkpoints.save({**TREE, "step": jnp.int32(9)}, 2, {})
    flip_bytes(tmp_path / "2")
    restored, step = checkpoints.restore(TREE)
    assert (step, int(restored["step"])) == (1, 3)
    assert f"checkpoint {tmp_path / '2'}" in capsys.readouterr().err
    # Training comes to that step again.
    checkpoints.save({**TREE, "step": jnp.int32(2)}, 2, {})
    restored, step = checkpoints.restore(TREE)
    assert (step, int(restored["step"])) == (2, 2)
    with pytest.raises(CheckpointError, match=r"no checkpoint of step 7 in .*; of 1, 2$"):
        checkpoints.restore(TREE, 7)
    flip_bytes(tmp_path / "2")
    flip_bytes(tmp_path / "1")
    with pytest.raises(CheckpointError, match=r"every checkpoint in .* is damaged"):
        checkpoints.restore(TREE)
    gc.collect()


def test_a_damaged_description_is_one_line(tmp_path):
    save = (
        "from supervegan_jax.training.checkpoints import Checkpoints; import sys; "
        "import numpy as np; c = Checkpoints(sys.argv[1]); x = {'x': np.zeros(3, np.float32)}; "
    )
    program = [sys.executable, "-c", save + "c.save(x, 1, {}); c.save(x, 2, {})", str(tmp_path)]
    subprocess.run(program, check=True)
    path = tmp_path / "2" / "_CHECKPOINT_METADATA"
    path.write_bytes(b"x" * 8 + path.read_bytes()[8:])
    program[2] = save + "print(c.restore(x)[1])"
    done = subprocess.run(program, check=True, capture_output=True, text=True)
    assert done.stdout == "1\n"
    assert done.stderr.startswith(f"warning: checkpoint {tmp_path / '2'} cannot be read")
    assert done.stderr.count("\n") == 1


def test_a_checksum_that_does_not_match_is_damage(tmp_path, monkeypatch, capsys):
    checkpoints = Checkpoints(tmp_path)
    monkeypatch.setattr(
        "supervegan_jax.training.checkpoints._checksums", lambda flat: dict.fromkeys(flat, 1)
    )
    checkpoints.save(TREE, 1, {})
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoints.restore(TREE)
    assert "the checksum of 'params/a/kernel' does not match" in capsys.readouterr().err


def test_another_model_is_refused_by_name_and_shape(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(TREE, 1, {})
    wide = {**TREE, "params": {**TREE["params"], "b": jnp.zeros(5)}}
    with pytest.raises(CheckpointError, match=r"has shape \(4,\), this model's has \(5,"):
        checkpoints.restore(wide)
    with pytest.raises(CheckpointError, match="it lacks 'more'"):
        checkpoints.restore({**TREE, "more": jnp.zeros(1)})
    with pytest.raises(CheckpointError, match="no checkpoint in"):
        Checkpoints(tmp_path / "empty").restore(TREE)


def test_flatten_names_leaves_by_path():
    assert set(flatten(TREE)) == {"step", "params/a/kernel", "params/b"}


SAVE_FOREVER = """
import sys, numpy as np
from supervegan_jax.training.checkpoints import Checkpoints
checkpoints = Checkpoints(sys.argv[1])
for step in range(1, 10_000):
    checkpoints.save({"x": np.full(200_000, step, np.float32)}, step, {})
    print(step, flush=True)
"""


def test_kill_9_in_the_middle_of_saving_leaves_whole_checkpoints(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", SAVE_FOREVER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with process:
        for _ in range(5):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    checkpoints = Checkpoints(tmp_path)
    restored, step = checkpoints.restore({"x": np.zeros(200_000, np.float32)})
    assert step >= 5
    np.testing.assert_array_equal(restored["x"], np.full(200_000, step, np.float32))
    assert list(tmp_path.glob("*tmp*")) == []


def test_what_an_interrupted_save_left_is_cleared_before_the_program_goes_on(tmp_path):
    Checkpoints(tmp_path).save({"x": np.zeros(3, np.float32)}, 1, {})
    left = tmp_path / "2.orbax-checkpoint-tmp"
    shutil.copytree(tmp_path / "1", left)
    Checkpoints(tmp_path, read_only=True)
    assert left.is_dir()
    threads = threading.active_count()
    Checkpoints(tmp_path)
    assert threading.active_count() == threads
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1"]


# A stand-in for a full disk: no file may grow beyond 100 kB.
FULL_DISK = "trap '' XFSZ; ulimit -f 100; exec \"$@\""

SAVE_TOO_MUCH = """
import sys, numpy as np
from supervegan_jax.command_line import run
from supervegan_jax.training.checkpoints import Checkpoints
def main():
    checkpoints = Checkpoints(sys.argv[1])
    checkpoints.save({"x": np.ones(10, np.float32)}, 1, {})
    checkpoints.save({"x": np.random.default_rng(0).random(200_000)}, 2, {})
run(main)
"""


def test_a_disk_that_fills_during_a_save_costs_only_that_save(tmp_path):
    done = subprocess.run(
        ["bash", "-c", FULL_DISK, "-", sys.executable, "-c", SAVE_TOO_MUCH, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "error: the checkpoint of step 2 could not be saved" in done.stderr
    assert "the last good one is step 1" in done.stderr
    restored, step = Checkpoints(tmp_path).restore({"x": np.zeros(10, np.float32)})
    assert step == 1
    np.testing.assert_array_equal(restored["x"], 1)
