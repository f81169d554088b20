"""Decoding prepared clips into pairs: which frames, which inputs, which weights."""

import json
from pathlib import Path

import numpy as np
import pytest
from prepared_clips import SCALE, frame, write_data, write_preparation

from supervegan_jax.data import clip_pairs, memory
from supervegan_jax.data.records import Window


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("data")
    entries = write_data(data, {"first_0": 12, "second_0": 9, "second_1": 7})
    # Held out: the end of one clip, the start of another, all of the third.
    held_out = {"first_0": (8, 4), "second_0": (0, 2), "second_1": (0, 7)}
    write_preparation(data / "records", entries, held_out)
    return data


def expected(clip: int, variant: int, frames: range, scale: int) -> np.ndarray:
    return np.stack([frame(clip, variant, index, scale) for index in frames])


@pytest.mark.parametrize("threads", [1, 3])
def test_a_data_folder_is_training_material_as_a_whole(data: Path, threads: int) -> None:
    pairs = clip_pairs.load_pairs(data, scale=SCALE, threads=threads)
    assert [pair.name for pair in pairs] == ["first_0", "second_0", "second_1"]
    for number, (pair, length) in enumerate(zip(pairs, (12, 9, 7), strict=True), start=1):
        assert pair.centers.tolist() == list(range(length))
        assert len(pair.lr) == 3
        for variant, lr in enumerate(pair.lr, start=1):
            np.testing.assert_array_equal(lr, expected(number, variant, range(length), 1))
        np.testing.assert_array_equal(pair.hr, expected(number, 0, range(length), SCALE))


def test_no_window_reaches_into_held_out_frames(data: Path) -> None:
    first, second = clip_pairs.load_pairs(data / "records", scale=SCALE)
    # 0 to 7 for training: windows of 0 to 5 stay inside, repetition at the clip's own start.
    assert first.centers.tolist() == list(range(6))
    np.testing.assert_array_equal(first.lr[0], expected(1, 1, range(8), 1))
    np.testing.assert_array_equal(first.hr, expected(1, 0, range(6), SCALE))
    # 2 to 8 for training: windows of 4 to 8.
    assert second.centers.tolist() == list(range(2, 7))
    np.testing.assert_array_equal(second.lr[0], expected(2, 1, range(2, 9), 1))
    np.testing.assert_array_equal(second.hr, expected(2, 0, range(4, 9), SCALE))
    source = memory.memory_batches([first, second], scale=SCALE, patch_size=8, batch_size=4, seed=0)
    batch = next(source)
    source.close()
    np.testing.assert_array_equal(batch["hr"][:, ::SCALE, ::SCALE, 1:], batch["lr"][:, 2, ..., 1:])


@pytest.mark.parametrize(
    ("selection", "variants"),
    [
        ({"codecs": ["h264"]}, [1, 2]),
        ({"bitrates_kbps": [100]}, [1, 3]),
        ({"codecs": ["vp9"], "bitrates_kbps": [100, 200]}, [3]),
    ],
)
def test_inputs_are_selected(data: Path, selection: dict[str, list], variants: list[int]) -> None:
    for pair in clip_pairs.load_pairs(data / "records", scale=SCALE, **selection):
        assert [lr[0, 0, 0, 0] % 10 for lr in pair.lr] == variants


def test_frames_of_one_example_stay_together(data: Path) -> None:
    window = Window(7, 3)
    pairs = clip_pairs.load_pairs(data / "records", scale=SCALE, max_frames=7, window=window)
    # Two runs of three, of eleven frames that there are.
    assert [pair.centers.tolist() for pair in pairs] == [[0, 1, 2], [2, 3, 4]]
    with pytest.raises(ValueError, match="max_frames is 2, fewer than the 3 frames in a row"):
        clip_pairs.load_pairs(data / "records", scale=SCALE, max_frames=2, window=window)


@pytest.mark.parametrize("max_frames", [1, 4, 11, 100])
def test_ground_truth_frames_are_thinned_evenly(data: Path, max_frames: int) -> None:
    pairs = clip_pairs.load_pairs(data / "records", scale=SCALE, max_frames=max_frames)
    every = list(range(6)) + list(range(102, 107))
    kept = [int(c) + 100 * (pair.name == "second_0") for pair in pairs for c in pair.centers]
    assert len(kept) == min(max_frames, 11)
    gaps = np.diff([every.index(center) for center in kept])
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1
    for pair in pairs:
        assert len(pair.lr[0]) in (8, 7)
        np.testing.assert_array_equal(
            pair.hr[:, ::SCALE, ::SCALE, 1:], pair.lr[0][pair.centers, ..., 1:]
        )


def test_weights_go_by_the_first_pattern_that_matches(data: Path) -> None:
    pairs = clip_pairs.load_pairs(data, scale=SCALE, weights={"second_1": 3.0, "s*.mp4": 0.25})
    assert [pair.weight for pair in pairs] == [1.0, 0.25, 3.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 4}, "are scale 2, the config asks for 4"),
        ({"scale": 2, "codecs": ["av1"]}, "clip 'first_0' in .* has no input of scale 2, .*av1"),
        ({"scale": 2, "max_frames": 0}, "max_frames is 0"),
        ({"scale": 2, "threads": 0}, "threads is 0"),
        ({"scale": 2, "weights": {"third*": 1.0}}, r"pattern 'third\*' matches no clip"),
    ],
)
def test_what_is_not_there_is_named(data: Path, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        clip_pairs.load_pairs(data / "records", **options)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing prepared in"):
        clip_pairs.load_pairs(tmp_path, scale=SCALE)


def test_nothing_to_train_on_is_refused(tmp_path: Path) -> None:
    entries = write_data(tmp_path, {"only": 6})
    write_preparation(tmp_path / "records", entries, {"only": (0, 6)})
    with pytest.raises(ValueError, match=r"has the 5 frames of an example left .* longest has 0"):
        clip_pairs.load_pairs(tmp_path / "records", scale=SCALE)


@pytest.mark.parametrize("content", ["", "{}", "[1]", "3"])
def test_a_damaged_card_is_named(tmp_path: Path, content: str) -> None:
    write_data(tmp_path, {"only": 6})
    (tmp_path / "clips" / "only.json").write_text(content)
    with pytest.raises(ValueError, match=r"only\.json is damaged; prepare the data again"):
        clip_pairs.load_pairs(tmp_path, scale=SCALE)


def test_a_shorter_video_than_prepared_is_named(tmp_path: Path) -> None:
    write_data(tmp_path, {"only": 6})
    path = tmp_path / "clips" / "only.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"frame_count": 9}))
    with pytest.raises(ValueError, match=r"h264_100k_x2\.mkv has 6 frames"):
        clip_pairs.load_pairs(tmp_path, scale=SCALE)
