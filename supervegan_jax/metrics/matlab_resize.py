"""MATLAB's imresize for enlarging, in float64 NumPy."""

import numpy as np

from supervegan_jax.ops.resize import keys_kernel


def _weights(size: int, wanted: int, scale: float) -> np.ndarray:
    """The matrix [wanted, size] that resamples one axis, its border mirrored."""
    matrix = np.zeros((wanted, size))
    for row in range(wanted):
        place = (row + 0.5) / scale - 0.5
        taps = np.floor(place).astype(int) + np.arange(-2, 4)
        weights = np.array([keys_kernel(place - tap) for tap in taps])
        mirrored = taps % (2 * size)
        mirrored = np.where(mirrored < size, mirrored, 2 * size - 1 - mirrored)
        np.add.at(matrix[row], mirrored, weights / weights.sum())
    return matrix


def enlarge_bicubic(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """imresize(image, [height width]) for sizes no smaller than the image's.

    Args:
      image: [h, w], float64.
      height, width: the size wanted.

    Returns:
      [height, width].

    Raises:
      ValueError: for a smaller size, which MATLAB would smooth first.
    """
    if height < image.shape[0] or width < image.shape[1]:
        raise ValueError(
            f"enlarging {image.shape[1]}x{image.shape[0]} to {width}x{height}: that is smaller"
        )
    if image.shape == (height, width):
        return image
    rows = _weights(image.shape[0], height, height / image.shape[0])
    columns = _weights(image.shape[1], width, width / image.shape[1])
    return rows @ image @ columns.T
