"""The Perceptual Index of the PIRM 2018 challenge: ((10 - Ma) + NIQE) / 2.

Blau, Mechrez, Timofte, Michaeli and Zelnik-Manor, "The 2018 PIRM Challenge on Perceptual Image
Super-Resolution", ECCV Workshops 2018.
"""

import jax
import jax.numpy as jnp
import numpy as np

from supervegan_jax.metrics.inputs import check_images, crop
from supervegan_jax.metrics.luma import rounded_luma_codes
from supervegan_jax.metrics.ma_features import SMALLEST_SIDE
from supervegan_jax.metrics.ma_score import MaModel, ma_score_of_codes
from supervegan_jax.metrics.niqe import niqe


def ma_score(images: jax.Array, model: MaModel, *, crop_border: int = 0) -> jax.Array:
    """Ma's score of each image, without a reference; higher is better, about 0 to 10.

    Args:
      images: RGB in [0, 1], [b, h, w, 3], float; 8-bit codes / 255 for the published figures.
      model: the authors' trained model, of `metrics.ma_score.load_ma_model`.
      crop_border: pixels left out at each of the four sides (PIRM 2018: 4).

    Returns:
      [b], float32, of the 8-bit luma of MATLAB's rgb2ycbcr.

    Raises:
      FlatImageError: surroundings of a pixel are of one colour.
      ValueError: for integer images, NaN, values outside [0, 1], other than three channels, or
        sides under 45 pixels.
    """
    check_images("ma", images)
    if images.shape[-1] != 3:
        raise ValueError(f"ma of {images.shape[-1]} channels; accepted: 3 (RGB)")
    images = crop("ma", images, crop_border, SMALLEST_SIDE)
    codes = np.asarray(rounded_luma_codes(images), np.float64)[..., 0]
    return jnp.asarray([ma_score_of_codes(image, model) for image in codes], jnp.float32)


def perceptual_index(images: jax.Array, model: MaModel, *, crop_border: int = 0) -> jax.Array:
    """Perceptual Index of each image, without a reference; lower is better, about 0 to 10.

    Args:
      images: RGB in [0, 1], [b, h, w, 3], float; 8-bit codes / 255 for the published figures.
      model: the authors' trained model of Ma's score, of `metrics.ma_score.load_ma_model`.
      crop_border: pixels left out at each of the four sides; the challenge leaves out 4.

    Returns:
      [b], float32.

    Raises:
      FlatImageError, ValueError: as `ma_score` and `metrics.niqe.niqe`.
    """
    ma = ma_score(images, model, crop_border=crop_border)
    return combine(ma, niqe(images, crop_border=crop_border))


def combine(ma: jax.Array, niqe_scores: jax.Array) -> jax.Array:
    """The index of scores that are known already, such as Ma's of a run of the authors' code."""
    return 0.5 * ((10.0 - ma) + niqe_scores)
