"""Held-out frames: the right ones, with their neighbours, and windows that end where clips end."""

from pathlib import Path

import numpy as np
import pytest
from prepared_clips import SCALE, frame, write_data, write_preparation

from supervegan_jax.data.validation import history, load_validation, windows


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("data")
    entries = write_data(data, {"end": 12, "start": 9, "middle": 10, "train": 6})
    held_out = {"end": (9, 3), "start": (0, 4), "middle": (5, 3)}
    write_preparation(data / "records", entries, held_out)
    return data / "records"


def test_the_held_out_frames_come_with_input_codec_and_bitrate(records: Path) -> None:
    clips = load_validation(records)
    assert [clip.name for clip in clips] == ["end", "start", "middle"]
    for number, (clip, frames) in enumerate(
        zip(clips, (range(9, 12), range(4), range(5, 8)), strict=True), start=1
    ):
        hr = np.stack([frame(number, 0, index, SCALE) for index in frames])
        codec = np.stack([frame(number, 5, index, SCALE) for index in frames])
        np.testing.assert_array_equal(clip.hr, hr)
        np.testing.assert_array_equal(clip.codec, codec)
        assert (clip.fps, clip.measured_kbps) == (25.0, 200.5)


@pytest.mark.parametrize(
    ("number", "indexes"),
    [
        (1, [[7, 8, 9, 10, 11], [8, 9, 10, 11, 11], [9, 10, 11, 11, 11]]),
        (2, [[0, 0, 0, 1, 2], [0, 0, 1, 2, 3], [0, 1, 2, 3, 4], [1, 2, 3, 4, 5]]),
        (3, [[3, 4, 5, 6, 7], [4, 5, 6, 7, 8], [5, 6, 7, 8, 9]]),
    ],
)
def test_windows_repeat_frames_at_real_ends_only(
    records: Path, number: int, indexes: list[list[int]]
) -> None:
    clip = load_validation(records)[number - 1]
    for window, expected in zip(windows(clip), indexes, strict=True):
        truth = np.stack([frame(number, 2, index, 1) for index in expected])
        np.testing.assert_array_equal(window, truth)


def test_fewer_frames_are_the_first_ones_with_the_same_windows(records: Path) -> None:
    for few, every in zip(load_validation(records, 2), load_validation(records), strict=True):
        np.testing.assert_array_equal(few.hr, every.hr[:2])
        np.testing.assert_array_equal(few.codec, every.codec[:2])
        np.testing.assert_array_equal(list(windows(few)), list(windows(every))[:2])


def test_a_sequence_begins_with_mirrored_frames_however_few_are_scored(records: Path) -> None:
    few = load_validation(records, 2, 1, "sequence")
    start, middle = few[1:]
    mirrored = np.stack([frame(2, 2, index, 1) for index in (5, 4, 3, 2, 1)])
    np.testing.assert_array_equal(history(start), mirrored)
    np.testing.assert_array_equal(list(windows(start)), [[frame(2, 2, i, 1)] for i in range(2)])
    np.testing.assert_array_equal(history(middle), [frame(3, 2, i, 1) for i in range(5)])


def test_a_preparation_without_held_out_frames_is_refused(tmp_path: Path) -> None:
    write_preparation(tmp_path / "records", [], {})
    with pytest.raises(ValueError, match="holds no frames out"):
        load_validation(tmp_path / "records")


def test_no_frames_at_all_are_refused(records: Path) -> None:
    with pytest.raises(ValueError, match="max_frames is 0"):
        load_validation(records, 0)
