"""Crops, flips and time reversal, on NumPy arrays and inside tf.data."""

import numpy as np
import pytest
import tensorflow as tf

from supervegan_jax.data import augment, input_pipeline
from supervegan_jax.data.augment import Augmentation

LR = np.random.default_rng(0).integers(0, 256, (5, 6, 7, 3), np.uint8)


def nearest(lr: np.ndarray, scale: int) -> np.ndarray:
    """Ground truth that says of every pixel which input pixel it belongs to."""
    return lr[2].repeat(scale, 0).repeat(scale, 1)


def test_crop_cuts_the_same_place_of_both() -> None:
    lr, hr = augment.crop(LR, nearest(LR, 4), y=1, x=2, patch_size=3, scale=4)
    np.testing.assert_array_equal(lr, LR[:, 1:4, 2:5])
    np.testing.assert_array_equal(hr, nearest(LR, 4)[4:16, 8:20])


@pytest.mark.parametrize(
    ("axis", "flipped"),
    [
        ("time", np.flip(LR, 0)),
        ("rows", np.flip(LR, 1)),
        ("columns", np.flip(LR, 2)),
        (None, LR),
    ],
)
def test_orient_reverses_one_axis(axis: str | None, flipped: np.ndarray) -> None:
    axes = {name: name == axis for name in ("time", "rows", "columns")}
    lr, hr = augment.orient(LR, nearest(LR, 2), **axes)
    np.testing.assert_array_equal(lr, flipped)
    np.testing.assert_array_equal(hr, nearest(flipped, 2))


def test_choose_spreads_over_every_offset_and_flip() -> None:
    rng = np.random.default_rng(1)
    limits = {"height": 6, "width": 7, "patch_size": 4}
    every = {"horizontal_flip": True, "vertical_flip": True, "time_reversal": True}
    draws = np.array(
        [
            augment.choose(rng.integers(augment.RANDOM_LIMIT, size=5), **limits, **every)
            for _ in range(2000)
        ]
    )
    for column, values in enumerate([range(3), range(4), (0, 1), (0, 1), (0, 1)]):
        found, counts = np.unique(draws[:, column], return_counts=True)
        np.testing.assert_array_equal(found, list(values))
        # Five standard deviations of a binomial.
        p = 1 / len(found)
        np.testing.assert_allclose(counts, 2000 * p, atol=5 * np.sqrt(2000 * p * (1 - p)))


def test_what_is_not_allowed_is_not_done() -> None:
    never = {"horizontal_flip": False, "vertical_flip": False, "time_reversal": False}
    for _ in range(20):
        integers = np.random.default_rng(2).integers(augment.RANDOM_LIMIT, size=5)
        choice = augment.choose(integers, height=6, width=6, patch_size=6, **never)
        assert choice == Augmentation(0, 0, False, False, False)


def test_tensors_inside_a_dataset_give_what_arrays_give() -> None:
    rng = np.random.default_rng(3)
    integers = rng.integers(augment.RANDOM_LIMIT, size=(16, 5), dtype=np.int32)
    options = {
        "height": 6,
        "width": 7,
        "patch_size": 4,
        "horizontal_flip": True,
        "vertical_flip": True,
        "time_reversal": True,
    }

    def apply(row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        choice = augment.choose(row, **options)
        lr, hr = tf.constant(LR), tf.constant(nearest(LR, 2))
        return augment.augment(
            lr, hr, choice, patch_size=4, scale=2, reverse=input_pipeline.reverse
        )

    dataset = tf.data.Dataset.from_tensor_slices(integers).map(apply)
    for row, (lr, hr) in zip(integers, dataset.as_numpy_iterator(), strict=True):
        expected_lr, expected_hr = augment.augment(
            LR, nearest(LR, 2), augment.choose(row, **options), patch_size=4, scale=2
        )
        np.testing.assert_array_equal(lr, expected_lr)
        np.testing.assert_array_equal(hr, expected_hr)
        np.testing.assert_array_equal(hr[::2, ::2], lr[2])
