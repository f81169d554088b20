"""The in-memory source: what it samples, and that a batch is a function of the step."""

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from supervegan_jax.data import memory
from supervegan_jax.data.memory import ClipPair
from supervegan_jax.data.records import Window

SCALE = 2


def clip(
    name: str, number: int, frames: int, centers: list[int], variants: int = 1, **options: float
) -> ClipPair:
    """Every pixel says (clip and variant, row, 16 * frame + column)."""
    lr = np.zeros((variants, frames, 10, 12, 3), np.uint8)
    lr[..., 0] = 10 * number + np.arange(variants)[:, None, None, None]
    lr[..., 1] = np.arange(10)[:, None]
    lr[..., 2] = np.arange(frames)[:, None, None] * 16 + np.arange(12)
    hr = lr[0, centers].repeat(SCALE, 1).repeat(SCALE, 2)
    return ClipPair(name, list(lr), hr, np.array(centers), **options)


PAIRS = [clip("a", 1, 9, [0, 1, 4, 8], variants=2), clip("b", 2, 6, [2, 3])]


@pytest.fixture(autouse=True)
def no_thread_survives() -> Iterator[None]:
    yield
    names = [thread.name for thread in threading.enumerate()]
    assert not any(name.startswith("memory_batches") for name in names)


def take(pairs: list[ClipPair], batches: int, **options: object) -> list[dict[str, np.ndarray]]:
    arguments = {"scale": SCALE, "patch_size": 4, "batch_size": 5, "seed": 3} | options
    source = memory.memory_batches(pairs, **arguments)
    taken = list(itertools.islice(source, batches))
    source.close()
    return taken


def test_batches_are_what_the_training_step_expects() -> None:
    (batch,) = take(PAIRS, 1)
    assert {name: (type(x), x.dtype, x.shape) for name, x in batch.items()} == {
        "lr": (np.ndarray, np.uint8, (5, 5, 4, 4, 3)),
        "hr": (np.ndarray, np.uint8, (5, 8, 8, 3)),
    }


@pytest.mark.parametrize("first_step", [0, 1, 7, 10**12])
def test_a_batch_is_a_function_of_the_step(first_step: int) -> None:
    whole = take(PAIRS, 5, first_step=first_step)
    resumed = take(PAIRS, 3, first_step=first_step + 2)
    for a, b in zip(whole[2:], resumed, strict=True):
        for name in ("lr", "hr"):
            np.testing.assert_array_equal(a[name], b[name])


def test_threads_change_nothing_but_the_time() -> None:
    for a, b in zip(take(PAIRS, 9), take(PAIRS, 9, threads=3), strict=True):
        for name in ("lr", "hr"):
            np.testing.assert_array_equal(a[name], b[name])


def test_steps_and_seeds_give_different_batches() -> None:
    batches = [*take(PAIRS, 4), *take(PAIRS, 4, seed=4)]
    assert len({batch["lr"].tobytes() for batch in batches}) == 8


def test_windows_repeat_the_ends_and_ground_truth_is_the_centre() -> None:
    seen = set()
    for batch in take(PAIRS, 60, time_reversal=False, horizontal_flip=False):
        for lr, hr in zip(batch["lr"].astype(int), batch["hr"].astype(int), strict=True):
            np.testing.assert_array_equal(hr[::SCALE, ::SCALE, 1:], lr[2, ..., 1:])
            assert len(set(lr[..., 0].ravel())) == 1  # one clip, one variant
            assert hr[0, 0, 0] // 10 == lr[0, 0, 0, 0] // 10
            seen.add((int(lr[0, 0, 0, 0]), *(lr[:, 0, 0, 2] // 16).tolist()))
    assert seen == {
        *((v, 0, 0, 0, 1, 2) for v in (10, 11)),
        *((v, 0, 0, 1, 2, 3) for v in (10, 11)),
        *((v, 2, 3, 4, 5, 6) for v in (10, 11)),
        *((v, 6, 7, 8, 8, 8) for v in (10, 11)),
        (20, 0, 1, 2, 3, 4),
        (20, 1, 2, 3, 4, 5),
    }


def test_every_direction_and_place_occurs_aligned() -> None:
    directions, places = set(), set()
    for batch in take([PAIRS[1]], 100, vertical_flip=True):
        for lr, hr in zip(batch["lr"].astype(int), batch["hr"].astype(int), strict=True):
            np.testing.assert_array_equal(hr[::SCALE, ::SCALE], lr[2])
            np.testing.assert_array_equal(hr[1::SCALE, 1::SCALE], lr[2])
            time = np.diff(lr[:, 0, 0, 2]) // 16
            rows, columns = np.diff(lr[2, :, 0, 1]), np.diff(lr[2, 0, :, 2])
            for steps in (time, rows, columns):
                assert len(set(steps.tolist())) == 1
            directions.add((int(time[0]), int(rows[0]), int(columns[0])))
            places.add((int(lr[2, ..., 1].min()), int(lr[2, ..., 2].min() % 16)))
    assert directions == set(itertools.product((-1, 1), repeat=3))
    assert places == set(itertools.product(range(7), range(9)))


def test_windows_of_other_lengths() -> None:
    starts = set()
    for batch in take([PAIRS[0]], 30, window=Window(4, 2), time_reversal=False):
        assert batch["lr"].shape[1:] == (4, 4, 4, 3)
        assert batch["hr"].shape[1:] == (2, 8, 8, 3)
        np.testing.assert_array_equal(
            batch["hr"][:, :, ::SCALE, ::SCALE, 1:], batch["lr"][:, 1:3, ..., 1:]
        )
        starts |= set((batch["lr"][:, 1, 0, 0, 2] // 16).tolist())
    # Ground truth is kept of frames 0, 1, 4 and 8: two in a row begin at the first alone.
    assert starts == {0}
    for batch in take([PAIRS[1]], 10, window=Window(2, 2)):
        change = np.diff(batch["lr"][..., 2].astype(int), axis=1) // 16
        assert set(np.unique(change)) <= {-1, 1}
        np.testing.assert_array_equal(batch["hr"][:, :, ::SCALE, ::SCALE], batch["lr"])
    with pytest.raises(ValueError, match="no frames to train on"):
        take([PAIRS[1]], 1, window=Window(3, 3))


def test_clips_are_drawn_by_frames_times_weight() -> None:
    # 4 frames of weight 1 and 2 frames of weight 0.5: "b" has one draw in five.
    pairs = [PAIRS[0], replace(PAIRS[1], weight=0.5)]
    (batch,) = take(pairs, 1, batch_size=4000)
    share = np.mean(batch["lr"][:, 0, 0, 0, 0] == 20)
    assert abs(share - 0.2) < 5 * np.sqrt(0.2 * 0.8 / 4000)
    (batch,) = take([PAIRS[0], replace(PAIRS[1], weight=0.0)], 1, batch_size=200)
    assert not np.any(batch["lr"][..., 0] == 20)


def test_an_exception_in_the_thread_reaches_the_consumer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the sampler broke")

    monkeypatch.setattr(memory, "_draw_example", fail)
    with pytest.raises(RuntimeError, match="the sampler broke"):
        next(memory.memory_batches(PAIRS, scale=SCALE, patch_size=4, batch_size=1, seed=0))


def test_dropping_the_iterator_ends_its_thread() -> None:
    before = threading.active_count()
    source = memory.memory_batches(PAIRS, scale=SCALE, patch_size=4, batch_size=1, seed=0)
    next(source)
    assert threading.active_count() == before + 1
    del source
    deadline = time.monotonic() + 10
    while threading.active_count() > before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": 4}, "clip 'a' has input 12x10 and ground truth 24x20, which is not scale 4"),
        ({"patch_size": 11}, "patch_size is 11, clip 'a' has input 12x10"),
        ({"patch_size": 0}, "patch_size is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"first_step": -1}, "first_step is -1"),
        ({"threads": 0}, "threads is 0"),
    ],
)
def test_impossible_arguments_are_refused(change: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        take(PAIRS, 1, **change)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "no frames to train on in 0 clips"),
        ([replace(PAIRS[0], weight=0.0)], "no frames to train on in 1 clips"),
        ([replace(PAIRS[0], weight=-1.0)], "weight -1.0"),
        ([replace(PAIRS[0], weight=float("nan"))], "weight nan"),
        ([replace(PAIRS[0], weight=float("inf"))], "weight inf; must be finite and at least 0"),
        ([replace(PAIRS[0], lr=[])], "clip 'a' has no input"),
        ([replace(PAIRS[0], centers=np.arange(3))], "has 3 centers for 4 frames"),
        ([replace(PAIRS[0], centers=np.array([0, 1, 2, 9]))], "centers up to 9, 9 input frames"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(pairs: list[ClipPair], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        take(pairs, 1)


def test_saved_pairs_come_back(tmp_path: Path) -> None:
    pairs = [clip("many", 0, 5, [0], variants=12), replace(PAIRS[1], weight=0.25)]
    memory.save_pairs(tmp_path / "pairs.npz", pairs)
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.npz"]
    loaded = memory.load_saved_pairs(tmp_path / "pairs.npz")
    for pair, back in zip(pairs, loaded, strict=True):
        assert (back.name, back.weight) == (pair.name, pair.weight)
        np.testing.assert_array_equal(np.stack(back.lr), np.stack(pair.lr))
        np.testing.assert_array_equal(back.hr, pair.hr)
        np.testing.assert_array_equal(back.centers, pair.centers)


def test_a_failed_save_leaves_the_file_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.save_pairs(tmp_path / "pairs.npz", PAIRS)
    before = (tmp_path / "pairs.npz").read_bytes()

    def fill_disk(file: object, **_: np.ndarray) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fill_disk)
    with pytest.raises(OSError, match="No space left"):
        memory.save_pairs(tmp_path / "pairs.npz", PAIRS[:1])
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.npz"]
    assert (tmp_path / "pairs.npz").read_bytes() == before


@pytest.mark.parametrize("damage", ["cut", "text", "array", "other"])
def test_another_file_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "pairs.npz"
    memory.save_pairs(path, PAIRS)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "text":
        path.write_text("not an archive")
    elif damage == "array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    else:
        np.savez(path, names=np.zeros(2))
    with pytest.raises(ValueError, match="is not a file of clip pairs"):
        memory.load_saved_pairs(path)


def test_the_source_needs_neither_tensorflow_nor_ffmpeg() -> None:
    program = (
        "import sys; import supervegan_jax.data.memory; "
        "sys.exit(bool({'tensorflow', 'tensorflow_datasets', 'imageio_ffmpeg'} & {*sys.modules}))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
