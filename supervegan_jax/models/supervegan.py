"""The SUPERVEGAN generator: stage A restores, stage B adds detail (III-A, Eq. 1-5)."""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from supervegan_jax.models.layers import OUTPUT_INIT, Conv, Conv3D, ResidualBlocks, lrelu
from supervegan_jax.ops.dynamic_filter import (
    TAPS,
    apply_filter_logits,
    apply_softmax_filters,
    bilinear_filter_logits,
)
from supervegan_jax.ops.pad import pad_to_multiple
from supervegan_jax.ops.resize import upsample_bicubic, upsample_nearest
from supervegan_jax.ops.shared_windows import consecutive_windows
from supervegan_jax.ops.space import depth_to_space

T = TypeVar("T")

FRAMES = 5
SUB_PIXELS = 4


def _filter_bias_init(scale: int) -> Any:
    """Starts the filter branch at bilinear upsampling; scale 1 starts at the centre tap."""
    logits = bilinear_filter_logits(scale)
    if scale == 1:
        logits = np.tile(logits, SUB_PIXELS)
    return lambda key, shape, dtype=jnp.float32: jnp.asarray(logits, dtype).reshape(shape)


class StageA(nn.Module):
    """Removes artifacts and restores half the target size (Eq. 3, 4; blocks A0-A4).

    The body works on a grid with 4 stage-A pixels a cell: the input's own grid for 4x, half of it
    for 2x, where a first strided Conv3D halves it.
    """

    scale: int
    stem_width: int
    input_taps: int
    input_width: int
    temporal_widths: tuple[int, int]
    width: int
    trunk_blocks: int
    filter_blocks: int
    residual_blocks: int
    filter_kernel: int
    dtype: Any

    @nn.compact
    def __call__(
        self, x: jax.Array, consecutive: bool = False, one_by_one: bool = False
    ) -> tuple[jax.Array, jax.Array]:
        """Restores the centre frame.

        Args:
          x: [b, 5, h, w, 3] float32 in [0, 1]; h and w even if scale is 2.
          consecutive: x is [b + 4, h, w, 3] instead, frames in a row whose b windows are meant;
            what they share is computed once, and the filters without storing the patches, which
            is the faster way as long as no gradient is wanted.
          one_by_one: takes each frame apart through what follows the temporal reduction.

        Returns:
          Y_A, float32 [b, scale/2 * h, scale/2 * w, 3], and the features stage B works on.
        """
        reach = FRAMES // 2
        centre = x[reach:-reach] if consecutive else x[:, reach]
        y = self._reduce_time(x.astype(self.dtype), consecutive)
        dtype = self.dtype
        trunk = ResidualBlocks(self.trunk_blocks, dtype=dtype, name="trunk")
        filter_blocks = ResidualBlocks(self.filter_blocks, dtype=dtype, name="filter_blocks")
        filters = Conv(
            SUB_PIXELS * TAPS,
            kernel_size=self.filter_kernel,
            kernel_init=OUTPUT_INIT,
            bias_init=_filter_bias_init(self.scale // 2),
            dtype=dtype,
            name="filters",
        )
        residual_blocks = ResidualBlocks(self.residual_blocks, dtype=dtype, name="residual_blocks")
        residual = Conv(SUB_PIXELS * 3, kernel_init=OUTPUT_INIT, dtype=dtype, name="residual")

        def restore(y: jax.Array, centre: jax.Array) -> tuple[jax.Array, jax.Array]:
            y = filter_blocks(trunk(y))
            logits = filters(y).astype(jnp.float32)
            upsampled = self._apply_filters(centre, logits, fused=consecutive)
            y = residual_blocks(y)
            return upsampled + depth_to_space(residual(y).astype(jnp.float32), 2), y

        return map_frames(restore, (y, centre)) if one_by_one else restore(y, centre)

    def _reduce_time(self, x: jax.Array, consecutive: bool) -> jax.Array:
        layers = [
            Conv3D(self.input_width, True, taps=self.input_taps, dtype=self.dtype, name="input")
        ]
        for i, width in enumerate(self.temporal_widths):
            layers.append(Conv3D(width, False, dtype=self.dtype, name=f"temporal_{i}"))
        if self.scale == 2:
            layers.insert(0, Conv3D(self.stem_width, True, 2, dtype=self.dtype, name="stem"))
        if consecutive:
            windows = consecutive_windows(x, FRAMES)
            for layer in layers:
                windows = jax.tree.map(lrelu, layer.over_windows(windows))
            return windows.place(0)
        for layer in layers:
            x = lrelu(layer(x))
        return x[:, 0]

    def _apply_filters(self, centre: jax.Array, logits: jax.Array, fused: bool) -> jax.Array:
        b, h, w, _ = logits.shape
        if self.scale == 2:  # one filter an input pixel: place each cell's 4 filters first
            logits = depth_to_space(logits, 2).reshape(b, 2 * h, 2 * w, 1, TAPS)
        else:
            logits = logits.reshape(b, h, w, SUB_PIXELS, TAPS)
        if fused:
            return apply_filter_logits(centre, logits)
        return apply_softmax_filters(centre, logits)


class StageB(nn.Module):
    """Predicts the detail R_B at the target size from stage A's features (blocks B0-B5)."""

    width: int
    inner_width: int
    grid: int
    outer_blocks: int
    inner_blocks: int
    detail_floor: float
    dtype: Any

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """[b, h, w, c] on stage A's grid -> R_B, float32 [b, 4h, 4w, 3]."""
        kwargs = {"dtype": self.dtype}
        up = lrelu(Conv(self.grid**2 * self.width, name="up", **kwargs)(features))
        up = depth_to_space(up, self.grid)
        _, h, w, _ = up.shape
        # Halving and doubling an odd side would give a side one larger.
        up = pad_to_multiple(up, 2)
        skip = ResidualBlocks(self.outer_blocks, name="encoder_blocks", **kwargs)(up)

        low = lrelu(Conv(self.inner_width, stride=2, name="down", **kwargs)(skip))
        low = ResidualBlocks(self.inner_blocks, name="inner_blocks", **kwargs)(low)
        low = lrelu(Conv(4 * self.width, name="inner_up", **kwargs)(low))
        joined = jnp.concatenate([depth_to_space(low, 2), skip], axis=-1)

        y = lrelu(Conv(self.width, name="join", **kwargs)(joined))
        y = ResidualBlocks(self.outer_blocks, name="decoder_blocks", **kwargs)(y)
        rest = 4 // self.grid
        y = Conv(rest**2 * 3, kernel_init=OUTPUT_INIT, name="residual", **kwargs)(y[:, :h, :w])
        y = y.astype(jnp.float32)
        if self.detail_floor:
            y = shrink_faint(y, self.detail_floor / 255)
        return depth_to_space(y, rest)


class SuperVegan(nn.Module):
    """The generator G_r of Eq. 1: five frames in, the centre frame enhanced.

    Its parameters have two groups, `stage_a` and `stage_b`, which training phases address by name.

    Attributes:
      scale: 4 or 2.
      stem_width: features of the first, strided Conv3D (2x only).
      input_taps: frames A0's kernel covers: 3, or 1 for a cheaper network.
      input_width: features of A0.
      temporal_widths: features of the two convolutions that reduce 5 frames to 1.
      width: features of A2-A4.
      detail_width: features of stage B.
      inner_width: features of its low resolution (B2); 0 is detail_width.
      detail_grid: cells of stage B's grid along one of stage A's: 2, or 1 for a cheaper network.
      trunk_blocks, filter_blocks, residual_blocks: residual blocks in A2, A3, A4.
      filter_kernel: side of the convolution that gives the filters: 3, or 1 for a cheaper network.
      outer_blocks: residual blocks on each side of the U-Net (B1 and B4).
      inner_blocks: residual blocks at its low resolution (B2).
      detail_floor: 8-bit codes; detail weaker than this is taken for noise of the network and
        shrunk, see `shrink_faint`. 0 leaves it; fresh weights have to begin with 0, since what is
        shrunk away learns nothing.
      dtype: of the features; parameters and images stay float32.
    """

    scale: int = 4
    stem_width: int = 32
    input_taps: int = 3
    input_width: int = 128
    temporal_widths: tuple[int, int] = (128, 128)
    width: int = 128
    detail_width: int = 128
    inner_width: int = 0
    detail_grid: int = 2
    trunk_blocks: int = 4
    filter_blocks: int = 2
    residual_blocks: int = 2
    filter_kernel: int = 3
    outer_blocks: int = 1
    inner_blocks: int = 2
    detail_floor: float = 0.0
    dtype: Any = jnp.float32

    frames: ClassVar[int] = FRAMES  # of a window
    stages: ClassVar[tuple[str, ...]] = ("a", "b")
    least_side: ClassVar[int] = 1  # of an input, in pixels
    channels: ClassVar[int] = 3  # of the images
    reading: ClassVar[str] = "window"

    def setup(self) -> None:
        """Creates the two stages."""
        if self.scale not in (2, 4):
            raise ValueError(f"scale is {self.scale}; SUPERVEGAN is defined for 2 and 4")
        if self.input_taps not in (1, 3):
            raise ValueError(f"input_taps is {self.input_taps}; 1 and 3 are accepted")
        if self.filter_kernel not in (1, 3):
            raise ValueError(f"filter_kernel is {self.filter_kernel}; 1 and 3 are accepted")
        if self.detail_grid not in (1, 2):
            raise ValueError(f"detail_grid is {self.detail_grid}; 1 and 2 are accepted")
        if len(self.temporal_widths) != 2:
            raise ValueError(f"temporal_widths are {self.temporal_widths}; two are needed")
        if self.temporal_widths[-1] != self.width:
            raise ValueError(
                f"temporal_widths end in {self.temporal_widths[-1]}, but the trunk's width is "
                f"{self.width}; the two must be equal"
            )
        for part in ("trunk", "filter", "residual", "outer", "inner"):
            blocks = getattr(self, f"{part}_blocks")
            if blocks < 0:
                raise ValueError(f"{part}_blocks is {blocks}; 0 or more are accepted")
        if not 0 <= self.detail_floor <= 255:
            raise ValueError(f"detail_floor is {self.detail_floor}; 0 to 255 codes are accepted")
        self.stage_a = StageA(
            self.scale,
            self.stem_width,
            self.input_taps,
            self.input_width,
            (self.temporal_widths[0], self.temporal_widths[1]),
            self.width,
            self.trunk_blocks,
            self.filter_blocks,
            self.residual_blocks,
            self.filter_kernel,
            self.dtype,
        )
        self.stage_b = StageB(
            self.detail_width,
            self.inner_width or self.detail_width,
            self.detail_grid,
            self.outer_blocks,
            self.inner_blocks,
            self.detail_floor,
            self.dtype,
        )

    def __call__(self, x: jax.Array, stage: str = "b") -> dict[str, jax.Array]:
        """Enhances the centre of five frames.

        Args:
          x: [b, 5, h, w, 3] float32 in [0, 1], any h and w.
          stage: "a" computes stage A alone.

        Returns:
          "stage_a": Y_A, [b, scale/2 * h, scale/2 * w, 3]; with stage "b" also
          "stage_b": Y_B, [b, scale * h, scale * w, 3] (Eq. 2). Values may leave [0, 1] slightly.

        Raises:
          ValueError: x has another shape, or `stage` is neither "a" nor "b".
        """
        if x.ndim != 5 or x.shape[1] != FRAMES or x.shape[-1] != 3:
            raise ValueError(f"input of shape {x.shape}; [b, {FRAMES}, h, w, 3] is needed")
        if stage not in ("a", "b"):
            raise ValueError(f"stage {stage!r}; 'a' and 'b' are accepted")
        _, _, h, w, _ = x.shape
        if self.scale == 2:  # the strided stem needs even sides
            x = pad_to_multiple(x, 2)
        y_a, features = self.stage_a(x)
        half = self.scale // 2
        outputs = {"stage_a": y_a[:, : half * h, : half * w]}
        if stage == "b":
            y_b = upsample_bicubic(y_a) + self.stage_b(features)
            outputs["stage_b"] = y_b[:, : self.scale * h, : self.scale * w]
        return outputs

    def outputs(self, x: jax.Array, stage: str = "b", train: bool = False) -> dict[str, jax.Array]:
        """`__call__` as training calls every network; nothing here depends on `train`."""
        del train
        return self(x, stage)

    def enhance(
        self,
        frames: jax.Array,
        stage: str = "b",
        strength: float = 1.0,
        one_by_one: bool = False,
    ) -> jax.Array:
        """Enhances frames in a row: `__call__` as inference needs it, equal but for rounding.

        Args:
          frames: [b + 4, h, w, 3] float32 in [0, 1], any h and w.
          stage: "a" leaves stage B out.
          strength: of stage B's detail, 0 to 1.
          one_by_one: takes each frame apart through what follows the temporal reduction. A CPU
            then keeps a frame's features in its caches, which is a fifth faster; a GPU is not.

        Returns:
          bicubic2x(Y_A) + strength R_B of the b middle frames, [b, scale * h, scale * w, 3].

        Raises:
          ValueError: frames has another shape, or `stage` is neither "a" nor "b".
        """
        if frames.ndim != 4 or frames.shape[0] < FRAMES or frames.shape[-1] != 3:
            raise ValueError(f"frames of shape {frames.shape}; [b + {FRAMES - 1}, h, w, 3] needed")
        if stage not in ("a", "b"):
            raise ValueError(f"stage {stage!r}; 'a' and 'b' are accepted")
        _, h, w, _ = frames.shape
        if self.scale == 2:
            frames = pad_to_multiple(frames, 2)
        y_a, features = self.stage_a(frames, consecutive=True, one_by_one=one_by_one)
        # Kept whole in between, or XLA computes its filters anew for every tap that enlarges it.
        y_a = jax.lax.optimization_barrier(y_a)

        def detail(y_a: jax.Array, features: jax.Array) -> jax.Array:
            y = upsample_bicubic(y_a)
            return y + strength * self.stage_b(features) if stage == "b" else y

        inputs = y_a, features
        y = map_frames(detail, inputs) if one_by_one else detail(*inputs)
        return y[:, : self.scale * h, : self.scale * w]


def map_frames(function: Callable[..., T], arrays: tuple[jax.Array, ...]) -> T:
    """Applies `function` to one frame [1, ...] of all arrays after the other and joins the results.

    The loop is unrolled: independent frames are computed at the same time where cores are free.
    """
    frames = [function(*(x[i : i + 1] for x in arrays)) for i in range(arrays[0].shape[0])]
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *frames)


def shrink_faint(y: jax.Array, floor: float) -> jax.Array:
    """y e / (e + floor^2) with e the mean square of y around a cell: Wiener's rule.

    On flat areas and blurred backgrounds a network leaves patterns of less than a code, which
    nothing hides; real texture is many times stronger and stays.

    Args:
      y: sub-pixels as channels, [b, h, w, c].
      floor: root mean square of which half stays.

    Returns:
      The same shape; e is the mean over the channels of 3x3 cells, those outside being 0.
    """
    energy = jnp.mean(jnp.square(y), axis=-1, keepdims=True)
    energy = nn.avg_pool(energy, (3, 3), padding="SAME")
    return y * (energy / (energy + floor**2))


def blend_stages(y_a: jax.Array, y_b: jax.Array, alpha: jax.Array | float) -> jax.Array:
    """Y_AB = (1 - alpha) nearest2x(Y_A) + alpha Y_B (Eq. 5).

    Args:
      y_a: [b, h, w, 3].
      y_b: [b, 2h, 2w, 3].
      alpha: scalar in [0, 1].

    Returns:
      [b, 2h, 2w, 3].
    """
    return (1 - alpha) * upsample_nearest(y_a) + alpha * y_b


_FAST = {
    "input_width": 32,
    "temporal_widths": (48, 64),
    "width": 64,
    "detail_width": 48,
}

# The published variants; every other network is one of these with fields changed.
VARIANTS: dict[str, dict[str, Any]] = {
    "supervegan4": {"scale": 4},
    "supervegan2": {"scale": 2, "stem_width": 32},
    "fast_supervegan4": {"scale": 4, **_FAST},
    "fast_supervegan2": {"scale": 2, "stem_width": 16, **_FAST},
}


def uniform_widths(width: int) -> dict[str, Any]:
    """The fields of a SUPERVEGAN whose every layer has `width` features."""
    return {
        "stem_width": max(8, width // 4),
        "input_width": width,
        "temporal_widths": (width, width),
        "width": width,
        "detail_width": width,
    }
