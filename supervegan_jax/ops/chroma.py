"""Subsampled chroma planes: to the luma's grid and back, at the sample's true place.

A chroma sample i of an axis that is halved lies at luma position 2 i + s, see `chroma_sites`. Up is
linear interpolation, what ffmpeg's `bilinear` does; down is the triangle filter two luma pixels
wide on each side, its transpose. The border is replicated. Every grid keeps its own siting, so an
enlarged video is tagged like its source.
"""

import math

import jax
import jax.numpy as jnp

from supervegan_jax.ops.chroma_sites import SITES
from supervegan_jax.ops.resize import pad_edge, weighted_slices

# Luma pixels on each side that a pixel's interpolated chroma, or a chroma sample, depends on.
REACH = 2


def _upsample_axis(x: jax.Array, axis: int, size: int, site: float) -> jax.Array:
    count = x.shape[axis]
    padded = pad_edge(x, axis, 1, 1)
    phases = []
    for phase in range(2):
        source = (phase - site) / 2
        first = math.floor(source)
        weights = [1 - (source - first), source - first]
        phases.append(weighted_slices(padded, axis, weights, first + 1, count, 1))
    stacked = jnp.stack(phases, axis=axis + 1)
    full = stacked.reshape((*x.shape[:axis], 2 * count, *x.shape[axis + 1 :]))
    return jax.lax.slice_in_dim(full, 0, size, axis=axis)


def _downsample_axis(x: jax.Array, axis: int, site: float) -> jax.Array:
    count = -(-x.shape[axis] // 2)
    padded = pad_edge(x, axis, 1, 2 + 2 * count - x.shape[axis])
    weights = [max(0.0, 1 - abs(k - 1 - site) / 2) / 2 for k in range(4)]
    return weighted_slices(padded, axis, weights, 0, count, 2)


def halved_axes(subsampling: str, location: str) -> list[tuple[int, float]]:
    """The axes of [n, h, w] that a chroma plane halves, each with its s.

    Raises:
      ValueError: the subsampling or the location is unknown.
    """
    if subsampling == "444":
        return []
    if subsampling not in ("420", "422"):
        raise ValueError(f"chroma subsampling {subsampling!r}; accepted: 420, 422, 444")
    if location not in SITES:
        raise ValueError(f"chroma location {location!r}; accepted: {', '.join(SITES)}")
    across, down = SITES[location]
    return [(2, across)] if subsampling == "422" else [(1, down), (2, across)]


def upsample_chroma(
    x: jax.Array, height: int, width: int, subsampling: str, location: str
) -> jax.Array:
    """A chroma plane on the luma's grid: float [n, h', w'] -> [n, height, width]."""
    for axis, site in halved_axes(subsampling, location):
        x = _upsample_axis(x, axis, (height, width)[axis - 1], site)
    return x


def downsample_chroma(x: jax.Array, subsampling: str, location: str) -> jax.Array:
    """The reverse: float [n, h, w] -> [n, ceil(h / 2) or h, ceil(w / 2) or w]."""
    for axis, site in halved_axes(subsampling, location):
        x = _downsample_axis(x, axis, site)
    return x
