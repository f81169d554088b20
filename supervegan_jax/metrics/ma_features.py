"""The features of Ma's score for super-resolved pictures (Ma, Yang, Yang and Yang 2017).

"Learning a No-Reference Quality Metric for Single-Image Super-Resolution", CVIU 158. As the
authors' sr-metric computes them (feature_all.m, block_dct.m, global_gsm.m and
norm_sender_normalized.m), in float64 NumPy like their MATLAB: the forests cut at thresholds, so a
feature that is off by little may move the score by more.
"""

import functools

import numpy as np
from scipy.fft import dctn
from scipy.ndimage import correlate, correlate1d
from scipy.special import gammaln

from supervegan_jax.metrics.inputs import FlatImageError
from supervegan_jax.metrics.matlab_resize import enlarge_bicubic
from supervegan_jax.metrics.ssim import gaussian_window
from supervegan_jax.metrics.steerable_pyramid import steerable_pyramid

ORIENTATIONS = 6
_SCALES = 2
_GUARD = 16
# The first scale's bands lose 1 + 16 pixels a side and must hold a window of 11.
SMALLEST_SIDE = 2 * (_GUARD + 1) + 11
_BLOCKS_AT_ONCE = 20_000


@functools.cache
def _shapes() -> tuple[np.ndarray, np.ndarray]:
    """Shapes of generalised Gaussians and their ratio of variance to squared mean deviation."""
    shape = 0.03 + 0.001 * np.arange(9971)
    return shape, np.exp(gammaln(1 / shape) + gammaln(3 / shape) - 2 * gammaln(2 / shape))


def _gaussian_shape(x: np.ndarray) -> np.ndarray:
    """Shape of the generalised Gaussian with the moments of the last axis (gama_gen_gauss.m)."""
    shapes, ratios = _shapes()
    mean = x.mean(axis=-1, keepdims=True)
    deviation = np.abs(x - mean).mean(axis=-1)
    ratio = x.var(axis=-1, ddof=1) / (deviation**2 + 1e-7)
    # The ratios fall: the nearest is at one side of where this one would be put.
    after = np.clip(len(ratios) - np.searchsorted(ratios[::-1], ratio), 1, len(ratios) - 1)
    nearer = np.abs(ratios[after - 1] - ratio) <= np.abs(ratios[after] - ratio)
    return shapes[np.where(nearer, after - 1, after)]


def _variation(x: np.ndarray, epsilon: float) -> np.ndarray:
    """Standard deviation of |x| over its mean, along the last axis."""
    size = np.abs(x)
    return size.std(axis=-1, ddof=1) / (size.mean(axis=-1) + epsilon)


def _orientation_masks() -> list[np.ndarray]:
    """Which of the 7x7 coefficients lie near the horizontal, the diagonal and the vertical."""
    horizontal = np.zeros((7, 7), bool)
    for row, first in enumerate((1, 2, 4, 5)):
        horizontal[row, first:] = True
    diagonal = np.zeros((7, 7), bool)
    for row, first, last in ((1, 1, 1), (2, 2, 3), (3, 2, 4), (4, 3, 6), (5, 4, 6), (6, 4, 6)):
        diagonal[row, first : last + 1] = True
    return [horizontal, diagonal, horizontal.T]


def _pool(values: np.ndarray, lowest: bool) -> list[float]:
    """Mean of the lowest or highest tenth, and of all."""
    values, count = np.sort(values), len(values)
    tenth = values[: int(np.ceil(count * 0.1))] if lowest else values[int(count * 0.9) - 1 :]
    return [float(tenth.mean()), float(values.mean())]


def block_dct_features(image: np.ndarray) -> list[float]:
    """Six statistics of the DCTs of 7x7 blocks, one around every 3x3 pixels (block_dct.m).

    Args:
      image: luma in [0, 1], [h, w], float64.
    """
    padding = [(2, 2 + -size % 3) for size in image.shape]
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(image, padding), (7, 7))[::3, ::3]
    windows = windows.reshape(-1, 7, 7)
    shapes, variations, orientations = [], [], []
    for start in range(0, len(windows), _BLOCKS_AT_ONCE):
        spectra = dctn(windows[start : start + _BLOCKS_AT_ONCE], axes=(1, 2), norm="ortho")
        coefficients = spectra.reshape(len(spectra), 49)[:, 1:]
        shapes.append(_gaussian_shape(coefficients))
        variations.append(_variation(coefficients, 1e-7))
        of_each = [_variation(spectra[:, mask], 1e-8) for mask in _orientation_masks()]
        orientations.append(np.var(of_each, axis=0, ddof=1))
    return [
        *_pool(np.concatenate(shapes), lowest=True),
        *_pool(np.concatenate(variations), lowest=False),
        *_pool(np.concatenate(orientations), lowest=False),
    ]


def _normalised_band(bands: list[list[np.ndarray]], scale: int, band: int) -> np.ndarray:
    """A band divided by what its neighbourhood in space, scale and angle predicts, [h', w']."""
    own = bands[scale][band]
    inner = (slice(1, -1), slice(1, -1))
    neighbours = [np.roll(own, (y, x), (0, 1))[inner] for y in (-1, 0, 1) for x in (-1, 0, 1)]
    # The last band of the first scale has no parent: "nband < Nband-Nor" in the authors' code.
    has_parent = scale * ORIENTATIONS + band + 1 < (_SCALES - 1) * ORIENTATIONS
    if has_parent:
        parent = bands[scale + 1][band]
        parent = enlarge_bicubic(parent, 2 * parent.shape[0], 2 * parent.shape[1])
        neighbours.append(parent[: own.shape[0], : own.shape[1]][inner])
    neighbours += [other[inner] for i, other in enumerate(bands[scale]) if i != band]
    samples = np.stack([n.ravel() for n in neighbours], axis=1)
    covariance = samples.T @ samples / len(samples)
    values, vectors = np.linalg.eigh(covariance)
    positive = np.maximum(values, 0.0)
    positive *= values.sum() / (positive.sum() or 1.0)
    covariance = (vectors * positive) @ vectors.T
    cutoff = len(covariance) * np.finfo(np.float64).eps
    predicted = np.sum((samples @ np.linalg.pinv(covariance, rcond=cutoff)) * samples, axis=1)
    predicted = np.sqrt(np.maximum(predicted, 0.0) / (9 + has_parent))
    if not predicted.all():
        raise FlatImageError("ma of an image with flat surroundings: it is not defined there")
    centre = own[inner].ravel()
    guard = _GUARD >> scale
    result = ((centre - centre.mean()) / predicted).reshape(own[inner].shape)
    result = result[guard:-guard, guard:-guard]
    return result - result.mean()


def _structure(x: np.ndarray, y: np.ndarray) -> float:
    """Mean contrast-structure term of SSIM for a range of 255 (ssim_index_new.m)."""
    taps = np.array(gaussian_window(11, 1.5))

    def blur(image: np.ndarray) -> np.ndarray:
        return correlate1d(correlate1d(image, taps, 0), taps, 1)[5:-5, 5:-5]

    mean_x, mean_y, constant = blur(x), blur(y), (0.03 * 255) ** 2
    variances = blur(x * x) - mean_x**2 + blur(y * y) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    return float(((2 * covariance + constant) / (variances + constant)).mean())


def pyramid_features(codes: np.ndarray) -> list[float]:
    """45 statistics of the steerable pyramid's bands (global_gsm.m).

    Args:
      codes: luma in 0..255, [h, w], float64.
    """
    residual, bands = steerable_pyramid(codes, _SCALES, ORIENTATIONS)
    normalised = [
        _normalised_band(bands, scale, band)
        for scale in range(_SCALES)
        for band in range(ORIENTATIONS)
    ]
    flat = [band.ravel(order="F") for band in normalised]
    features = [float(_gaussian_shape(band)) for band in flat]
    for first, second in zip(flat[:ORIENTATIONS], flat[ORIENTATIONS:], strict=True):
        features.append(float(_gaussian_shape(np.concatenate([first, second]))))
    for scale in bands:
        features += [_structure(enlarge_bicubic(band, *residual.shape), residual) for band in scale]
    for i in range(ORIENTATIONS):
        for j in range(i + 1, ORIENTATIONS):
            features.append(_structure(normalised[i], normalised[j]))
    return features


def _singular_values(image: np.ndarray) -> list[float]:
    """The 25 singular values of the image's 5x5 patches, from the greatest."""
    padded = np.pad(image, [(0, -size % 5) for size in image.shape])
    rows, columns = (size // 5 for size in padded.shape)
    patches = padded.reshape(rows, 5, columns, 5).transpose(0, 2, 1, 3).reshape(-1, 25)
    values = np.zeros(25)
    found = np.linalg.svd(patches, compute_uv=False)
    values[: len(found)] = found
    return values.tolist()


def ma_features(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three feature vectors that the three forests take (feature_all.m).

    Args:
      codes: 8-bit luma, whole numbers in 0..255, [h, w], float64.

    Returns:
      Local frequencies [18], global frequencies [45] and spatial discontinuity [75].

    Raises:
      FlatImageError: surroundings are of one colour.
      ValueError: for sides under 45 pixels.
    """
    if min(codes.shape) < SMALLEST_SIDE:
        raise ValueError(
            f"Ma's score of {codes.shape[1]}x{codes.shape[0]} pixels; accepted: sides of at least "
            f"{SMALLEST_SIDE}"
        )
    taps = np.array(gaussian_window(3, 0.5))
    images = [codes / 255.0]
    for _ in range(2):
        smooth = correlate(images[-1], np.outer(taps, taps), mode="constant")
        images.append(smooth[1::2, 1::2])
    local = [value for image in images for value in block_dct_features(image)]
    spatial = [value for image in images for value in _singular_values(image)]
    return np.array(local), np.array(pyramid_features(codes)), np.array(spatial)
