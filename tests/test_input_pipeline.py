"""The record source: a position that is a function of the step, and what it says of bad records."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from supervegan_jax.data import input_pipeline
from supervegan_jax.data import records as schema
from supervegan_jax.data.throughput import patches_per_second

SCALE, SIZE, COUNT, SHARD = 2, 8, 22, 5


def example(index: int) -> dict[str, object]:
    """Every pixel of frame t says (record, row, 8 * t + column); the ground truth is frame 2."""
    lr = np.zeros((5, SIZE, SIZE, 3), np.uint8)
    lr[..., 0] = index
    lr[..., 1] = np.arange(SIZE)[:, None]
    lr[..., 2] = np.arange(5)[:, None, None] * SIZE + np.arange(SIZE)
    hr = lr[2].repeat(SCALE, 0).repeat(SCALE, 1)
    return {"lr": lr, "hr": hr, "clip_id": "clip", "frame": index, "y": 0, "x": 0}


def write_records(folder: Path, count: int) -> Path:
    folder.mkdir()
    info = tfds.core.DatasetInfo(
        builder=tfds.core.DatasetIdentity(
            name="patches",
            version=tfds.core.Version("1.0.0"),
            data_dir=str(folder),
            module_name="",
        ),
        features=schema.features(SCALE, SIZE, schema.Window()),
    )
    writer = tfds.core.SequentialWriter(info, max_examples_per_shard=SHARD)
    writer.initialize_splits(["train"])
    writer.add_examples({"train": [example(index) for index in range(count)]})
    writer.close_all()
    preparation = {"version": 1, "scale": SCALE, "patch_size": SIZE, "frames": 5, "seed": 0}
    preparation |= {"bitrate_kbps": [250], "codecs": ["h264"], "patch_count": count}
    preparation |= {"data": "..", "clips": [], "validation": []}
    (folder / schema.FILE_NAME).write_text(json.dumps(preparation))
    return folder


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_records(tmp_path_factory.mktemp("data") / "records", COUNT)


def take(records_dir: Path, batches: int, **options: object) -> list[dict[str, np.ndarray]]:
    arguments = {"scale": SCALE, "patch_size": 4, "batch_size": 6, "seed": 7, "num_threads": 2}
    arguments |= {"shuffle_buffer": 8} | options
    return list(itertools.islice(input_pipeline.record_batches(records_dir, **arguments), batches))


def same(first: list[dict[str, np.ndarray]], second: list[dict[str, np.ndarray]]) -> bool:
    return len(first) == len(second) and all(
        np.array_equal(a[name], b[name])
        for a, b in zip(first, second, strict=True)
        for name in ("lr", "hr")
    )


def order(batches: list[dict[str, np.ndarray]]) -> list[int]:
    return [int(index) for batch in batches for index in batch["lr"][:, 2, 0, 0, 0]]


def test_batches_are_what_the_training_step_expects(records: Path) -> None:
    (batch,) = take(records, 1)
    assert {name: (type(x), x.dtype, x.shape) for name, x in batch.items()} == {
        "lr": (np.ndarray, np.uint8, (6, 5, 4, 4, 3)),
        "hr": (np.ndarray, np.uint8, (6, 8, 8, 3)),
    }


# 22 records and batches of 6: the first epoch ends within batch 3, the second within batch 7.
@pytest.mark.parametrize("first_step", [1, 3, 4, 8, 11])
def test_a_resumed_stream_is_the_rest_of_the_uninterrupted_one(
    records: Path, first_step: int
) -> None:
    assert same(
        take(records, 13)[first_step:], take(records, 13 - first_step, first_step=first_step)
    )


def test_a_far_step_starts_at_once_and_continues(records: Path) -> None:
    far = 10**9
    assert same(take(records, 3, first_step=far)[1:], take(records, 2, first_step=far + 1))


def test_threads_change_nothing(records: Path) -> None:
    assert same(take(records, 8, num_threads=1), take(records, 8, num_threads=5))


def test_every_epoch_shows_every_record_once_in_another_order(records: Path) -> None:
    shown = order(take(records, 11))
    epochs = [shown[start : start + COUNT] for start in range(0, 3 * COUNT, COUNT)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(COUNT))
        assert epoch != sorted(epoch)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_every_stretch_of_an_epoch_shows_all_shards(tmp_path: Path) -> None:
    count, shards = 200, 200 // SHARD
    folder = write_records(tmp_path / "many", count)
    batches = take(folder, 2, batch_size=count // 2, shuffle_buffer=1)
    for batch in batches:
        shown = np.unique(batch["lr"][:, 0, 0, 0, 0] // SHARD)
        # Of 40 shards of 5 records, 100 drawn at random leave out 1.2 on average.
        assert len(shown) >= shards - 5


def test_more_shards_than_may_be_open_are_read_in_turn(
    records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(input_pipeline, "_OPEN_SHARDS", 2)  # of 5
    (batch,) = take(records, 1, batch_size=COUNT)
    assert sorted(batch["lr"][:, 0, 0, 0, 0].tolist()) == list(range(COUNT))


def test_the_seed_changes_order_and_augmentation(records: Path) -> None:
    assert order(take(records, 4)) != order(take(records, 4, seed=8))
    whole = {"batch_size": COUNT, "shuffle_buffer": 1}
    by_record = [
        {tuple(lr.ravel()) for lr in take(records, 1, seed=seed, **whole)[0]["lr"]}
        for seed in (7, 8)
    ]
    assert by_record[0] != by_record[1]


def test_augmentation_differs_between_epochs(records: Path) -> None:
    first, second = take(records, 2, batch_size=COUNT)
    patches = [{lr.tobytes() for lr in batch["lr"]} for batch in (first, second)]
    assert len(patches[0] & patches[1]) < COUNT // 2


def test_input_and_ground_truth_stay_aligned_and_every_direction_occurs(records: Path) -> None:
    seen = set()
    for batch in take(records, 20, vertical_flip=True):
        for lr, hr in zip(batch["lr"].astype(int), batch["hr"].astype(int), strict=True):
            np.testing.assert_array_equal(hr[::SCALE, ::SCALE], lr[2])
            time = np.diff(lr[:, 0, 0, 2]) // SIZE
            rows, columns = np.diff(lr[2, :, 0, 1]), np.diff(lr[2, 0, :, 2])
            for steps in (time, rows, columns):
                assert len(set(steps)) == 1
            seen.add((int(time[0]), int(rows[0]), int(columns[0])))
    assert seen == set(itertools.product((-1, 1), repeat=3))


def test_without_augmentation_the_records_come_as_written(records: Path) -> None:
    off = {"horizontal_flip": False, "time_reversal": False, "patch_size": SIZE}
    for batch in take(records, 4, **off):
        for lr, hr in zip(batch["lr"], batch["hr"], strict=True):
            expected = example(int(lr[0, 0, 0, 0]))
            np.testing.assert_array_equal(lr, expected["lr"])
            np.testing.assert_array_equal(hr, expected["hr"])


def test_fewer_records_than_a_batch_are_repeated(tmp_path: Path) -> None:
    few = write_records(tmp_path / "few", 2)
    assert np.bincount(order(take(few, 2))).tolist() == [6, 6]


def test_throughput_counts_patches(records: Path) -> None:
    batches = input_pipeline.record_batches(
        records, scale=SCALE, patch_size=4, batch_size=6, seed=0, num_threads=1
    )
    assert patches_per_second(batches, 0.05) > 6
    with pytest.raises(ValueError, match="ended after"):
        patches_per_second(itertools.islice(batches, 3), 5.0)
    with pytest.raises(ValueError, match="is empty"):
        patches_per_second(iter([]), 1.0)


def test_another_scale_is_refused(records: Path) -> None:
    with pytest.raises(ValueError, match="are scale 2, the config asks for 4"):
        take(records, 1, scale=4)


def test_a_patch_larger_than_the_records_is_refused(records: Path) -> None:
    with pytest.raises(ValueError, match="have patches of 8 pixels, the config asks for 9"):
        take(records, 1, patch_size=9)


def test_impossible_sizes_are_refused(records: Path) -> None:
    with pytest.raises(ValueError, match="batch_size is 0"):
        take(records, 1, batch_size=0)


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no folder of records"):
        take(tmp_path, 1)


def test_an_empty_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no training records"):
        take(write_records(tmp_path / "empty", 0), 1)


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    return sorted(write_records(tmp_path / "records", 12).glob("*.tfrecord*"))


def test_a_missing_shard_is_named(shards: list[Path]) -> None:
    shards[1].unlink()
    with pytest.raises(ValueError, match=f"lacks 1 of its 3 files, first .*{shards[1].name}"):
        take(shards[0].parent, 1)


def test_a_damaged_description_is_named(shards: list[Path]) -> None:
    (shards[0].parent / "dataset_info.json").write_text("{")
    with pytest.raises(ValueError, match=f"{shards[0].parent}' cannot be read .*; prepare the"):
        take(shards[0].parent, 1)


def test_a_damaged_record_is_named(shards: list[Path]) -> None:
    damaged = bytearray(shards[1].read_bytes())
    damaged[len(damaged) // 2] ^= 1
    shards[1].write_bytes(damaged)
    with pytest.raises(ValueError, match=f"record 2 of .*{shards[1].name}.* is damaged"):
        take(shards[0].parent, 3)


def test_tensorflow_says_nothing_of_what_is_raised(shards: list[Path]) -> None:
    shards[1].write_bytes(shards[1].read_bytes()[:-1] + b"?")
    code = (
        "import jax\n"  # which sets a level of its own
        "from supervegan_jax.data.input_pipeline import record_batches\n"
        f"batches = record_batches({str(shards[0].parent)!r}, scale=2, patch_size=4,"
        " batch_size=6, seed=7)\n"
        "try: list(batches)\n"
        "except ValueError as error: print(error)"
    )
    environment = {key: x for key, x in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert "is damaged" in done.stdout
    assert done.stderr == ""


def test_a_truncated_shard_is_named(shards: list[Path]) -> None:
    shards[2].write_bytes(shards[2].read_bytes()[:-7])
    with pytest.raises(ValueError, match=f"record 1 of .*{shards[2].name}.* is damaged"):
        take(shards[0].parent, 3)


def test_a_shard_that_ends_early_is_named(shards: list[Path]) -> None:
    shards[0].write_bytes(b"")
    with pytest.raises(ValueError, match=f"{shards[0].name}.* has 0 records, .* says 5"):
        take(shards[0].parent, 3)
