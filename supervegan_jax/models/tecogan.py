"""TecoGAN's frame-recurrent generator and its flow network.

Chu et al., "Learning Temporal Coherence via Self-Supervision for GAN-based Video Generation",
SIGGRAPH 2020, Section 3 and its appendix on networks. What the paper leaves open is as in
`generator_F` and `fnet` of lib/frvsr.py, lib/ops.py and main.py of thunil/TecoGAN. The
spatio-temporal discriminator is in `tecogan_discriminator.py`.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from supervegan_jax.models.layers import Conv, lrelu
from supervegan_jax.models.single_stage import SingleStage
from supervegan_jax.ops.corner_resize import upsample_bicubic_corner, upsample_bilinear_corner
from supervegan_jax.ops.deconvolution import deconvolve
from supervegan_jax.ops.space import space_to_depth
from supervegan_jax.ops.warp import backward_warp

SCALE = 4
# Of a sequence so far: its last frame [b, h, w, 3] and what that became, [b, 4h, 4w, 3].
State = tuple[jax.Array, jax.Array]
XAVIER = nn.initializers.glorot_uniform()
MAX_VELOCITY = 24.0  # input pixels from one frame to the next, in either direction
ENCODER_WIDTHS = (32, 64, 128)
DECODER_WIDTHS = (256, 128, 64)
OUTPUT_WIDTH = 32
# The encoder halves the frame once a width.
FLOW_GRID = 2 ** len(ENCODER_WIDTHS)


class FlowNet(nn.Module):
    """The motion from one frame to the next: an encoder with max pooling, a bilinear decoder.

    Where a side is no multiple of 8 the pooling leaves a rest out, and the flow is continued there
    by its mirror image (main.py). The last convolution computes in float32, since it gives pixels.
    """

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, previous: jax.Array, current: jax.Array) -> jax.Array:
        """Estimates what `ops.warp.backward_warp` needs to move `previous` onto `current`.

        Args:
          previous: float32 [b, h, w, 3] in [0, 1]; h and w at least 8.
          current: of the same shape.

        Returns:
          float32 [b, h, w, 2], (x, y) in pixels, each within 24.
        """
        _, h, w, _ = current.shape
        y = jnp.concatenate([previous, current], axis=-1).astype(self.dtype)
        for i, width in enumerate(ENCODER_WIDTHS):
            y = nn.max_pool(self._convolve_twice(y, width, f"encoder_{i}"), (2, 2), (2, 2))
        for i, width in enumerate(DECODER_WIDTHS):
            y = upsample_bilinear_corner(self._convolve_twice(y, width, f"decoder_{i}"), 2)
        y = lrelu(Conv(OUTPUT_WIDTH, kernel_init=XAVIER, dtype=self.dtype, name="output_0")(y))
        velocity = Conv(2, kernel_init=XAVIER, name="output_1")(y.astype(jnp.float32))
        # The authors' channels are (y, x) and are subtracted from a pixel's position.
        flow = -MAX_VELOCITY * jnp.tanh(velocity[..., ::-1])
        rest = (h - h // FLOW_GRID * FLOW_GRID, w - w // FLOW_GRID * FLOW_GRID)
        return jnp.pad(flow, ((0, 0), (0, rest[0]), (0, rest[1]), (0, 0)), mode="symmetric")

    def _convolve_twice(self, y: jax.Array, width: int, name: str) -> jax.Array:
        for i in range(2):
            layer = Conv(width, kernel_init=XAVIER, dtype=self.dtype, name=f"{name}_{i}")
            y = lrelu(layer(y))
        return y


class DoublingConv(nn.Module):
    """Transposed 3x3 convolution of stride 2 with bias: [b, h, w, c] -> [b, 2h, 2w, features].

    As TensorFlow's with "SAME" padding: input pixel i adds its value times tap k to output pixel
    2i + k, and what falls behind the last output pixel is dropped. The four kinds of output pixels
    are convolved apart, each with the taps that reach it, so that no product with the zeros between
    the input pixels is computed or counted.
    """

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Convolves [b, h, w, c]."""
        kernel = self.param("kernel", XAVIER, (3, 3, x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        return deconvolve(x, kernel, 2) + bias


class FrameGenerator(nn.Module):
    """Enlarges a frame with the help of the warped previous result.

    Attributes:
      blocks: residual blocks.
      width: features.
      dtype: of the features.
    """

    blocks: int
    width: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, lr: jax.Array, warped: jax.Array) -> jax.Array:
        """[b, h, w, 3] and [b, 4h, 4w, 3], both in [0, 1] -> float32 [b, 4h, 4w, 3]."""
        kwargs = {"kernel_init": XAVIER, "dtype": self.dtype}
        y = jnp.concatenate([lr, space_to_depth(warped, SCALE)], axis=-1).astype(self.dtype)
        y = nn.relu(Conv(self.width, name="input", **kwargs)(y))
        for i in range(self.blocks):
            inner = nn.relu(Conv(self.width, name=f"block_{i}_0", **kwargs)(y))
            y = y + Conv(self.width, name=f"block_{i}_1", **kwargs)(inner)
        for i in range(2):
            y = nn.relu(DoublingConv(self.width, dtype=self.dtype, name=f"up_{i}")(y))
        residual = Conv(3, name="output", **kwargs)(y).astype(jnp.float32)
        return upsample_bicubic_corner(lr, SCALE) + residual


class TecoGan(SingleStage):
    """TecoGAN's generator: each frame enlarged from itself and the result for the frame before.

    Its parameters have two groups, `flow_net` and `generator`. Before the first frame the previous
    result is black. To enhance a video the authors let it run over 5 mirrored frames first and drop
    these (`inference_data_loader` of lib/dataloader.py, main.py).

    Attributes:
      scale: 4.
      blocks: residual blocks: 16 for TecoGAN, 10 for FRVSR and the authors' small model.
      width: features of the generator.
      dtype: of the features; parameters, flows and images stay float32.
    """

    scale: int = SCALE
    blocks: int = 16
    width: int = 64
    dtype: Any = jnp.float32

    frames: ClassVar[int] = 1
    reading: ClassVar[str] = "sequence"
    warm_up: ClassVar[int] = 5  # mirrored frames before a video's first
    refusal: ClassVar[str] = (
        "TecoGAN is recurrent: every frame depends on all those before it, and no window of them "
        "is enough"
    )

    def setup(self) -> None:
        """Creates the two networks."""
        if self.scale != SCALE:
            raise ValueError(f"scale is {self.scale}; TecoGAN is defined for {SCALE}")
        self.flow_net = FlowNet(self.dtype)
        self.generator = FrameGenerator(self.blocks, self.width, self.dtype)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Enhances a sequence from its first frame on.

        Args:
          x: [b, t, h, w, 3] float32 in [0, 1], any t; h and w at least 8.

        Returns:
          [b, t, 4h, 4w, 3] float32. Values may leave [0, 1] slightly.

        Raises:
          ValueError: x has another shape.
        """
        return self.sequence(x)[0]

    def outputs(self, x: jax.Array, stage: str = "b", train: bool = False) -> dict[str, jax.Array]:
        """What the losses look at.

        Args:
          x: as for `__call__`.
          stage: "b"; there is no other.
          train: makes no difference.

        Returns:
          "output", the enhanced frames, clip after clip, [b * t, 4h, 4w, 3]; "read", x; and
          "flows", see `sequence`.

        Raises:
          ValueError: another stage, or x has another shape.
        """
        del train
        self._check_stage(stage)
        frames, flows = self.sequence(x)
        return {"output": frames.reshape(-1, *frames.shape[2:]), "read": x, "flows": flows}

    def sequence(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """`__call__` with the flows, which the warp loss and the discriminator need.

        Args:
          x: as for `__call__`.

        Returns:
          The enhanced frames [b, t, 4h, 4w, 3], and the flows [b, t - 1, h, w, 2] in input pixels
          that move a frame onto the next by `ops.warp.backward_warp`; both float32.

        Raises:
          ValueError: x has another shape.
        """
        if x.ndim != 5 or x.shape[1] < 1:
            raise ValueError(f"input of shape {x.shape}; [b, t, h, w, 3] is needed")
        _check_frames(x[:, 0])
        b, _, h, w, _ = x.shape
        (sr, flows), _ = self._scan(x, self.first_state(b, h, w))
        return sr, flows[:, 1:]

    def first_state(self, count: int, height: int, width: int) -> State:
        """What `advance` begins with: a black previous frame and its result, also black.

        Args:
          count: sequences.
          height, width: of the input, at least 8.
        """
        return (
            jnp.zeros((count, height, width, 3), jnp.float32),
            jnp.zeros((count, SCALE * height, SCALE * width, 3), jnp.float32),
        )

    def advance(self, x: jax.Array, state: State) -> tuple[jax.Array, State]:
        """`__call__` on a sequence that goes on where another ended.

        Args:
          x: as for `__call__`.
          state: what the frames before left, or `first_state`.

        Returns:
          The enhanced frames [b, t, 4h, 4w, 3], and the state they leave.

        Raises:
          ValueError: x has another shape.
        """
        _check_frames(x[:, 0])
        (sr, _), state = self._scan(x, state)
        return sr, state

    def _scan(self, x: jax.Array, state: State) -> tuple[tuple[jax.Array, jax.Array], State]:
        def step(
            module: "TecoGan", previous: State, lr: jax.Array
        ) -> tuple[State, tuple[jax.Array, jax.Array]]:
            sr, flow = module._step(*previous, lr)
            return (lr, sr), (sr, flow)

        scan = nn.scan(
            step,
            variable_broadcast="params",
            split_rngs={"params": False},
            in_axes=1,
            out_axes=1,
        )
        state, found = scan(self, state, x)
        return found, state

    def step(self, previous_lr: jax.Array, previous_sr: jax.Array, lr: jax.Array) -> jax.Array:
        """Enhances one frame.

        Args:
          previous_lr: the frame before, [b, h, w, 3] float32 in [0, 1]; h and w at least 8.
          previous_sr: what it became, [b, 4h, 4w, 3]; zeros before the first frame, when it does
            not matter what `previous_lr` is.
          lr: the frame, of the shape of `previous_lr`.

        Returns:
          [b, 4h, 4w, 3] float32.

        Raises:
          ValueError: a shape is another.
        """
        _check_frames(lr)
        b, h, w, _ = lr.shape
        if previous_lr.shape != lr.shape or previous_sr.shape != (b, SCALE * h, SCALE * w, 3):
            raise ValueError(
                f"previous frames of shapes {previous_lr.shape} and {previous_sr.shape} for a "
                f"frame of shape {lr.shape}; [b, h, w, 3] and [b, {SCALE}h, {SCALE}w, 3] are needed"
            )
        return self._step(previous_lr, previous_sr, lr)[0]

    def flow(self, previous: jax.Array, current: jax.Array) -> jax.Array:
        """The flow that moves one frame onto another, as `FlowNet` gives it.

        Raises:
          ValueError: the shapes differ or are not [b, h, w, 3].
        """
        _check_frames(current)
        if previous.shape != current.shape:
            raise ValueError(f"flow between frames of shapes {previous.shape} and {current.shape}")
        return self.flow_net(previous, current)

    def _step(
        self, previous_lr: jax.Array, previous_sr: jax.Array, lr: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        flow = self.flow_net(previous_lr, lr)
        warped = backward_warp(previous_sr, upsample_flow(flow))
        return self.generator(lr, warped), flow


def upsample_flow(flow: jax.Array) -> jax.Array:
    """A flow of input pixels as one of output pixels: [b, h, w, 2] -> [b, 4h, 4w, 2]."""
    return upsample_bilinear_corner(SCALE * flow, SCALE)


def _check_frames(x: jax.Array) -> None:
    if x.ndim != 4 or x.shape[-1] != 3 or min(x.shape[1:3]) < FLOW_GRID:
        raise ValueError(
            f"frames of shape {x.shape}; [b, h, w, 3] with sides of at least {FLOW_GRID} are needed"
        )


VARIANTS: dict[str, dict[str, Any]] = {"tecogan": {"scale": 4}}
