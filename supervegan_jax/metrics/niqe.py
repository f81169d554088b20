"""NIQE, the natural image quality evaluator (Mittal, Soundararajan and Bovik 2013).

Follows the authors' release (niqe_release: computequality.m, computefeature.m and
estimateaggdparam.m) with their 96x96 blocks and their model of pristine pictures, whose mean and
covariance are in niqe_pristine.npz (see niqe_pristine.txt for their origin and licence).
"""

import functools
from importlib import resources

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import gamma

from supervegan_jax.metrics.inputs import FlatImageError, check_images, crop
from supervegan_jax.metrics.luma import MATLAB_CODES, rounded_luma_codes
from supervegan_jax.metrics.ssim import gaussian_window
from supervegan_jax.ops.resize import keys_kernel, pad_edge, weighted_slices

try:
    from jax import enable_x64
except ImportError:  # jax before 0.8
    from jax.experimental import enable_x64  # type: ignore[attr-defined, no-redef]

BLOCK = 96
CHANNELS = ("y", "gray")
ARITHMETICS = ("single", "double")
# MATLAB's rgb2gray, rounded to 8 bits as `rounded_luma_codes`.
_GRAY_WEIGHTS = (0.298936021293776, 0.587043074451121, 0.114020904255103)
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))
# Rounding noise of a mean of codes; a flat block must be exactly flat to be left out.
_NOISE = 1e-9


@functools.cache
def _pristine_model() -> tuple[np.ndarray, np.ndarray]:
    file = resources.files("supervegan_jax.metrics") / "niqe_pristine.npz"
    with resources.as_file(file) as path, np.load(path) as arrays:
        return arrays["mean"], arrays["covariance"]


@functools.cache
def _gaussian_tables() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Per shape alpha: the moment ratio searched, deviation -> beta, betas -> mean."""
    alpha = np.arange(9801) * 0.001 + 0.2
    ratio = gamma(2 / alpha) ** 2 / (gamma(1 / alpha) * gamma(3 / alpha))
    return (
        alpha,
        ratio,
        np.sqrt(gamma(1 / alpha) / gamma(3 / alpha)),
        gamma(2 / alpha) / gamma(1 / alpha),
    )


def _keep(x: jax.Array, single: bool) -> jax.Array:
    """Rounds float64 as an intermediate array of float32 would be, if asked to."""
    return jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=23) if single else x


def _local_mean(x: jax.Array) -> jax.Array:
    """7x7 Gaussian of sigma 7/6 with replicated edges, [h, w]."""
    taps = gaussian_window(7, 7 / 6)
    for axis in (0, 1):
        x = weighted_slices(pad_edge(x, axis, 3, 3), axis, taps, 0, x.shape[axis], 1)
    return x


def _halve(x: jax.Array, single: bool) -> jax.Array:
    """MATLAB's imresize(x, 0.5): bicubic with antialiasing, [h, w] of even sizes."""
    taps = [keys_kernel((k - 3.5) / 2) for k in range(8)]
    x = _keep(x / 255.0, single)
    for axis in (0, 1):
        widths = [(3, 3) if i == axis else (0, 0) for i in (0, 1)]
        padded = jnp.pad(x, widths, mode="symmetric")
        total = jnp.zeros(())
        for k, tap in enumerate(taps):
            last = k + x.shape[axis] - 1
            part = jax.lax.slice_in_dim(padded, k, last, 2, axis) * (tap / sum(taps))
            total = _keep(total + _keep(part, single), single)
        x = total
    return _keep(x * 255.0, single)


def _normalised(x: jax.Array, single: bool) -> jax.Array:
    """Mean-subtracted, contrast-normalised codes (Eq. 1), [h, w]."""
    keep = functools.partial(_keep, single=single)
    mean = keep(_local_mean(x))
    variance = keep(keep(_local_mean(keep(x * x))) - keep(mean * mean))
    deviation = keep(jnp.sqrt(jnp.abs(variance)))
    difference = keep(x - mean)
    difference = jnp.where(jnp.abs(difference) < _NOISE, 0.0, difference)
    return keep(difference / keep(deviation + 1.0))


def _asymmetric_gaussian(x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Fits an asymmetric generalised Gaussian by moments: [blocks, n] -> alpha, left, right, mean.

    A side without a value gives NaN (and alpha 0.2), as in estimateaggdparam.m.
    """
    alphas, ratios, to_beta, to_mean = (jnp.asarray(table) for table in _gaussian_tables())
    square = x * x
    left, right = (
        jnp.sqrt(jnp.sum(jnp.where(side, square, 0.0), axis=1) / jnp.sum(side, axis=1))
        for side in (x < 0, x > 0)
    )
    skew = left / right
    ratio = jnp.square(jnp.mean(jnp.abs(x), axis=1)) / jnp.mean(square, axis=1)
    ratio = ratio * (skew**3 + 1) * (skew + 1) / jnp.square(skew**2 + 1)
    best = jnp.argmin(jnp.square(ratios - ratio[:, None]), axis=1)
    left, right = left * to_beta[best], right * to_beta[best]
    return alphas[best], left, right, (right - left) * to_mean[best]


def _block_features(x: jax.Array, side: int) -> jax.Array:
    """The 18 features of every side x side block: [h, w] -> [blocks, 18]."""
    rows, columns = x.shape[0] // side, x.shape[1] // side
    blocks = x.reshape(rows, side, columns, side).transpose(0, 2, 1, 3)
    blocks = blocks.reshape(rows * columns, side, side)
    alpha, left, right, _ = _asymmetric_gaussian(blocks.reshape(rows * columns, -1))
    features = [alpha, (left + right) / 2]
    for shift in _SHIFTS:
        product = blocks * jnp.roll(blocks, shift, axis=(1, 2))
        alpha, left, right, mean = _asymmetric_gaussian(product.reshape(rows * columns, -1))
        features += [alpha, mean, left, right]
    return jnp.stack(features, axis=1)


def _luma_codes_in_single(image: jax.Array) -> jax.Array:
    """The 8-bit luma as BasicSR rounds it: [h, w, 3] -> [h, w, 1], float64.

    Its pictures and its luma are float32 in [0, 1], the sum between them is float64, and halves go
    to the even code.
    """
    # By way of codes: whoever divided them by 255 may have rounded to a neighbouring float32.
    codes = jnp.round(image.astype(jnp.float64) * (255.0 * 4096.0)) / 4096.0
    stored = _keep(codes / 255.0, True)
    red, green, blue = MATLAB_CODES
    y = 16.0 + red * stored[..., 0:1] + green * stored[..., 1:2] + blue * stored[..., 2:3]
    return jnp.round(_keep(_keep(y / 255.0, True) * 255.0, True))


@functools.partial(jax.jit, static_argnames=("channel", "single"))
def _features(images: jax.Array, channel: str, single: bool) -> jax.Array:
    """The 36 features of every block: RGB [b, h, w, 3] -> [b, blocks, 36], float64."""
    weights = _GRAY_WEIGHTS if channel == "gray" else None

    def one(image: jax.Array) -> jax.Array:
        if single and weights is None:
            codes = _luma_codes_in_single(image)[None]
        else:
            codes = rounded_luma_codes(image.astype(jnp.float64)[None], full_range_weights=weights)
        codes = codes[0, : image.shape[0] // BLOCK * BLOCK, : image.shape[1] // BLOCK * BLOCK, 0]
        return jnp.concatenate(
            [
                _block_features(_normalised(codes, single), BLOCK),
                _block_features(_normalised(_halve(codes, single), single), BLOCK // 2),
            ],
            axis=1,
        )

    return jax.lax.map(one, images)


def _distance(features: np.ndarray) -> float:
    """Distance of the blocks' Gaussian from the pristine one (Eq. 10); features [blocks, 36]."""
    whole = features[~np.isnan(features).any(axis=1)]
    if len(whole) < 2:
        raise FlatImageError(
            f"niqe of an image with {len(whole)} blocks of {BLOCK}x{BLOCK} that are not of one "
            "colour; accepted: at least 2"
        )
    mean, covariance = _pristine_model()
    difference = mean - np.nanmean(features, axis=0)
    pooled = (covariance + np.cov(whole, rowvar=False)) / 2
    inverse = np.linalg.pinv(pooled, rcond=len(pooled) * np.finfo(np.float64).eps)
    return float(np.sqrt(difference @ inverse @ difference))


def niqe(
    images: jax.Array, *, channel: str = "y", crop_border: int = 0, arithmetic: str = "single"
) -> jax.Array:
    """NIQE of each image, without a reference; lower is more natural, often 2 to 15.

    Rows and columns beyond the last whole 96x96 block (right and bottom) are not used. Blocks of
    one colour have no statistics and are left out. Where a picture is nearly flat NIQE measures the
    rounding of its own arithmetic, so that has to be stated: see `arithmetic`.

    Args:
      images: RGB in [0, 1], [b, h, w, 3], float; 8-bit codes / 255 for the published figures.
      channel: "y", the 8-bit luma of MATLAB's rgb2ycbcr, which papers on super resolution and the
        PIRM 2018 challenge measure; "gray", MATLAB's rgb2gray, which the release itself takes when
        it is given RGB.
      crop_border: pixels left out at each of the four sides (PIRM 2018: 4).
      arithmetic: "single" rounds every intermediate image to float32 where BasicSR's port does;
        "double" is float64 throughout, as the authors' MATLAB. On textured pictures they agree to
        1e-3 or better; docs/metrics.md has the figures.

    Returns:
      [b], float32, at least 0.

    Raises:
      FlatImageError: fewer than two blocks are of more than one colour.
      ValueError: for integer images, NaN, values outside [0, 1], other than three channels, another
        channel or arithmetic, or fewer than two blocks.
    """
    if channel not in CHANNELS:
        raise ValueError(f"niqe of channel {channel!r}; accepted: {', '.join(CHANNELS)}")
    if arithmetic not in ARITHMETICS:
        raise ValueError(f"niqe arithmetic {arithmetic!r}; accepted: {', '.join(ARITHMETICS)}")
    check_images("niqe", images)
    if images.shape[-1] != 3:
        raise ValueError(f"niqe of {images.shape[-1]} channels; accepted: 3 (RGB)")
    images = crop("niqe", images, crop_border, BLOCK)
    height, width = images.shape[1:3]
    if (height // BLOCK) * (width // BLOCK) < 2:
        raise ValueError(
            f"niqe of {width}x{height} pixels; accepted: room for two blocks of {BLOCK}x{BLOCK}"
        )
    with enable_x64(True):
        features = np.asarray(_features(images, channel, arithmetic == "single"))
    return jnp.asarray([_distance(blocks) for blocks in features], jnp.float32)
