"""MFQE 2.0: a frame enhanced from itself and the better frames around it.

Guan, Xing et al., "MFQE 2.0: A New Approach for Multi-Frame Quality Enhancement on Compressed
Video", TPAMI 2019, Section 4. What the paper leaves open is as in `warp_img`, `transformer` and
`network` of net_MFCNN.py of ryanxingql/mfqev2.0 (`network` is the paper's; `network2` there is a
plain chain of convolutions instead). Which frames are the better ones is `ops.peak_frames`' matter.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from supervegan_jax.models.layers import PReLU
from supervegan_jax.models.single_stage import SingleStage
from supervegan_jax.ops.pad import pad_to_multiple
from supervegan_jax.ops.space import depth_to_space
from supervegan_jax.ops.warp import backward_warp

FRAMES = 3
XAVIER = nn.initializers.xavier_uniform()
EPSILON = 1e-3  # of the batch normalisation, with the momentum: TensorFlow's defaults
MOMENTUM = 0.99
FLOW_WIDTH = 24
FLOW_UNIT = 64.0  # pixels; each of the three levels adds at most one unit
COARSEST = 4  # the coarsest flow's grid
KERNEL_SIZES = (3, 5, 7)


class MotionCompensation(nn.Module):
    """The MC-subnet: moves a frame onto another by flows of 4x, 2x and 1x (Section 4.3).

    The convolutions that give a flow compute in float32.
    """

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, current: jax.Array, other: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Moves `other` onto `current`.

        Args:
          current: luma, float32 [b, h, w, 1] in [0, 1]; h and w multiples of 4.
          other: of the same shape.

        Returns:
          The moved frame [b, h, w, 1], 0 where it would come from outside, and the flow
          [b, h, w, 2] of `ops.warp.backward_warp`, (x, y) in pixels.
        """
        frames = jnp.concatenate([current, other], axis=-1)
        y = self._convolve(frames, "coarse", (5, 3, 5, 3), (2, 1, 2, 1))
        flow = self._flow(y, 4, "coarse_flow")
        for level, sizes, factor in (("middle", (5, 3, 3, 3), 2), ("fine", (3, 3, 3, 3), 1)):
            seen = jnp.concatenate([frames, flow, self._move(other, flow)], axis=-1)
            y = self._convolve(seen, level, sizes, (factor, 1, 1, 1))
            flow = flow + self._flow(y, factor, f"{level}_flow")
        return self._move(other, flow), FLOW_UNIT * flow

    def _convolve(
        self, y: jax.Array, name: str, sizes: tuple[int, ...], strides: tuple[int, ...]
    ) -> jax.Array:
        for i, (size, stride) in enumerate(zip(sizes, strides, strict=True)):
            y = convolve(y, FLOW_WIDTH, size, f"{name}_{i}", stride, self.dtype)
            y = PReLU(0.0, self.dtype, name=f"{name}_{i}_prelu")(y)
        return y

    def _flow(self, y: jax.Array, factor: int, name: str) -> jax.Array:
        flow = convolve(y.astype(jnp.float32), 2 * factor**2, 3, name)
        return depth_to_space(jnp.tanh(flow), factor)

    def _move(self, other: jax.Array, flow: jax.Array) -> jax.Array:
        return backward_warp(other, FLOW_UNIT * flow, "zero")


class QualityEnhancement(nn.Module):
    """The QE-subnet: features of three sizes from three frames, then densely joined (Section 4.4).

    Attributes:
      width: features of every layer.
      dense_layers: those after the first reconstruction layer that read all before.
      dtype: of the features.
    """

    width: int
    dense_layers: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, frames: jax.Array, train: bool = False) -> jax.Array:
        """Three luma frames, float32 [b, 3, h, w, 1], the middle one enhanced: [b, h, w, 1]."""
        features = []
        for i in range(FRAMES):
            for size in KERNEL_SIZES:
                name = f"frame_{i}_{size}x{size}"
                y = convolve(frames[:, i], self.width, size, name, dtype=self.dtype)
                features.append(PReLU(0.0, self.dtype, name=f"{name}_prelu")(y))
        y = jnp.concatenate(features, axis=-1)
        joined = []
        for i in range(1 + self.dense_layers):
            y = self._normalized(y, self.width, f"dense_{i}", train)
            joined.append(y)
            if i < self.dense_layers:
                y = jnp.concatenate(joined, axis=-1)
        residual = self._normalized(y, 1, "output", train).astype(jnp.float32)
        return frames[:, FRAMES // 2] + residual

    def _normalized(self, y: jax.Array, width: int, name: str, train: bool) -> jax.Array:
        y = convolve(y, width, 3, name, dtype=self.dtype)
        y = nn.BatchNorm(
            use_running_average=not train,
            momentum=MOMENTUM,
            epsilon=EPSILON,
            dtype=self.dtype,
            name=f"{name}_norm",
        )(y.astype(jnp.float32))
        return PReLU(0.0, self.dtype, name=f"{name}_prelu")(y)


class Mfqe2(SingleStage):
    """MFQE 2.0's MF-CNN, at the input's size, on luma.

    The authors train one for the peak frames and one for the others; both look so. Its parameters
    have two groups, `motion_compensation` and `quality_enhancement`, and its batch normalisation
    has `batch_stats`.

    Attributes:
      scale: 1.
      width: features of the QE-subnet.
      dense_layers: of the QE-subnet.
      dtype: of the features; parameters, statistics, flows and images stay float32.
    """

    scale: int = 1
    width: int = 32
    dense_layers: int = 4
    dtype: Any = jnp.float32

    frames: ClassVar[int] = FRAMES
    channels = 1
    reading: ClassVar[str] = "peaks"
    refusal: ClassVar[str] = (
        "MFQE 2.0 reads a frame and the peak frames around it, which are not frames in a row"
    )
    normalised: ClassVar[bool] = True

    def setup(self) -> None:
        """Creates the two subnets."""
        if self.scale != 1:
            raise ValueError(f"scale is {self.scale}; MFQE 2.0 is defined for 1")
        self.motion_compensation = MotionCompensation(self.dtype)
        self.quality_enhancement = QualityEnhancement(self.width, self.dense_layers, self.dtype)

    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Enhances the middle frame.

        Args:
          x: luma, float32 [b, 3, h, w, 1] in [0, 1]: the peak frame before, the frame itself and
            the peak frame after, as `ops.peak_frames.choose_references` says; any h and w.
          train: normalise by the batch's statistics and update the running ones.

        Returns:
          [b, h, w, 1] float32. Values may leave [0, 1] slightly.

        Raises:
          ValueError: x has another shape.
        """
        return self.enhance_and_compensate(x, train)[0]

    def outputs(self, x: jax.Array, stage: str = "b", train: bool = False) -> dict[str, jax.Array]:
        """What the losses look at.

        Args:
          x: as for `__call__`.
          stage: "b"; there is no other.
          train: as for `__call__`.

        Returns:
          "output" [b, h, w, 1]; "read", x; and "moved", the peak frames moved onto x[:, 1].

        Raises:
          ValueError: another stage, or x has another shape.
        """
        self._check_stage(stage)
        y, moved = self.enhance_and_compensate(x, train)
        return {"output": y, "read": x, "moved": moved}

    def enhance_and_compensate(
        self, x: jax.Array, train: bool = False
    ) -> tuple[jax.Array, jax.Array]:
        """`__call__` with the moved peak frames, which the MC-subnet's loss compares with x[:, 1].

        The authors' loss is MC + 0.01 QE until the motion is learned and 0.01 MC + QE afterwards,
        QE the mean squared error of the output and MC the sum of the two of the moved frames
        (main_train_NP.py).

        Args:
          x: as for `__call__`.
          train: as for `__call__`.

        Returns:
          The enhanced frame [b, h, w, 1] and the peak frames moved onto it, [b, 2, h, w, 1].

        Raises:
          ValueError: x has another shape.
        """
        self.check_windows(x)
        b, _, h, w, _ = x.shape
        # The authors' videos all have such sides.
        x = pad_to_multiple(x, COARSEST)
        current = jnp.concatenate([x[:, 1], x[:, 1]])
        moved, _ = self.motion_compensation(current, jnp.concatenate([x[:, 0], x[:, 2]]))
        before, after = moved[:b], moved[b:]
        y = self.quality_enhancement(jnp.stack([before, x[:, 1], after], axis=1), train)
        return y[:, :h, :w], jnp.stack([before, after], axis=1)[:, :, :h, :w]


class PeakFrameDetector(nn.Module):
    """The BiLSTM that finds a video's peak frames without the original (Section 4.2).

    The authors describe a frame by 38 numbers: its QP, its bits and 36 features of a no-reference
    measure of quality (README.md). They published finished labels instead of this network.

    Attributes:
      hidden: features of each direction, ours to choose.
    """

    hidden: int = 128

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """Judges all frames of videos.

        Args:
          features: float32 [b, n, c], scaled to a similar size; the paper's c is 38.

        Returns:
          Logits [b, n]; their sigmoid is the probability that `ops.peak_frames.refine_peak_labels`
          takes.

        Raises:
          ValueError: features has another rank.
        """
        if features.ndim != 3:
            raise ValueError(f"features of shape {features.shape}; [b, n, c] is needed")
        forward, backward = (
            nn.RNN(nn.OptimizedLSTMCell(self.hidden, name=name), name=f"{name}_rnn")
            for name in ("forward", "backward")
        )
        both = nn.Bidirectional(forward, backward, name="bidirectional")(features)
        return nn.Dense(1, kernel_init=XAVIER, name="logit")(both)[..., 0]


def convolve(
    x: jax.Array, width: int, size: int, name: str, stride: int = 1, dtype: Any = jnp.float32
) -> jax.Array:
    """Convolves [b, h, w, c] with bias and "SAME" padding, inside a module's compact method.

    With a stride of 2 the larger half of the padding is on the right and below, as TensorFlow's.
    """
    return nn.Conv(
        width,
        (size, size),
        strides=(stride, stride),
        padding="SAME",
        kernel_init=XAVIER,
        dtype=dtype,
        name=name,
    )(x)


VARIANTS: dict[str, dict[str, Any]] = {"mfqe2": {"scale": 1}}
