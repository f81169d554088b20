"""Tiny networks and streams for the tests of enhancement."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from supervegan_jax.models import build_generator
from supervegan_jax.models.supervegan import SuperVegan
from supervegan_jax.ops.resize import upsample_bicubic, upsample_nearest
from supervegan_jax.video_input.frames import FrameFormat, VideoFrame
from supervegan_jax.weights.model_file import LoadedModel, parameter_shapes

SMALL = {
    "stem_width": 4,
    "input_width": 8,
    "temporal_widths": (8, 8),
    "width": 8,
    "detail_width": 8,
    "trunk_blocks": 1,
    "filter_blocks": 1,
    "residual_blocks": 1,
    "outer_blocks": 1,
    "inner_blocks": 1,
}


def randomized(generator: SuperVegan, seed: int = 0, size: float = 0.05) -> LoadedModel:
    """A network whose every layer matters; fresh ones end in layers close to 0."""
    rng = np.random.default_rng(seed)

    def draw(leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        inputs = np.prod(leaf.shape[:-1]) if len(leaf.shape) > 1 else np.inf
        deviation = np.hypot(size, inputs**-0.5)
        return (deviation * rng.standard_normal(leaf.shape)).astype(np.float32)

    params = jax.tree.map(draw, parameter_shapes(generator))
    return LoadedModel(generator, params, generator.scale, {"name": "random"})


def small_model(scale: int = 4, seed: int = 0, **fields: int) -> LoadedModel:
    """A SUPERVEGAN of a few thousand parameters with a layer of every kind, and other fields."""
    fewest = {"filter_blocks": 0, "residual_blocks": 0, "outer_blocks": 0, "inner_blocks": 0}
    return randomized(SuperVegan(scale=scale, **{**SMALL, **fewest, **fields}), seed)


def small_system(name: str, **fields: int) -> LoadedModel:
    """A network of another system whose every layer matters."""
    generator = build_generator(name, **fields)
    rng = np.random.default_rng(0)

    def draw(path: tuple, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        if jax.tree_util.keystr(path[-1:], simple=True) == "var":
            return np.ones(leaf.shape, np.float32)
        return 0.1 * rng.standard_normal(leaf.shape, np.float32)

    params = jax.tree_util.tree_map_with_path(draw, parameter_shapes(generator))
    card = {"name": name, "generator": {"name": name, **fields}}
    return LoadedModel(generator, params, generator.scale, card)


class Enlarger(nn.Module):
    """Nearest or bicubic enlargement of the centre frame: what goes in comes out."""

    scale: int = 4
    kind: str = "nearest"
    dtype: object = jnp.float32

    frames = 5
    channels = 3
    reading = "window"
    stages = ("a", "b")

    def enhance(
        self, frames: jax.Array, stage: str, strength: float, one_by_one: bool
    ) -> jax.Array:
        enlarge = upsample_nearest if self.kind == "nearest" else upsample_bicubic
        return enlarge(frames[2:-2], self.scale)


class WindowDigits(nn.Module):
    """Shows in every output frame which five frames its window had, as base-16 digits."""

    scale: int = 2
    dtype: object = jnp.float32

    frames = 5
    channels = 3
    reading = "window"
    stages = ("a", "b")

    def enhance(
        self, frames: jax.Array, stage: str, strength: float, one_by_one: bool
    ) -> jax.Array:
        count = frames.shape[0] - 4
        picture = jnp.zeros((count, 2, 10, 3))
        for place in range(5):
            value = frames[place : place + count, 0, 0, :]
            picture = picture.at[:, :, 2 * place : 2 * place + 2].set(value[:, None, None])
        return picture


def plain(generator: nn.Module) -> LoadedModel:
    """A network without parameters."""
    return LoadedModel(generator, {}, generator.scale, {"name": type(generator).__name__})


def random_frames(count: int, fmt: FrameFormat, seed: int = 0) -> Iterator[VideoFrame]:
    """Smooth noise."""
    top = (1 << fmt.bit_depth) - 1
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        planes = []
        for shape in fmt.plane_shapes:
            coarse = rng.uniform(0.2, 0.8, (shape[0] // 4 + 1, shape[1] // 4 + 1))
            fine = np.kron(coarse, np.ones((4, 4)))[: shape[0], : shape[1]]
            planes.append((fine * top).astype(fmt.dtype))
        yield VideoFrame(index, 100 + 7 * index * index, tuple(planes))
