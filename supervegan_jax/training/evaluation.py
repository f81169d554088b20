"""Scores of the averaged generator on whole held-out frames."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from supervegan_jax.metrics.lpips import lpips
from supervegan_jax.metrics.psnr import psnr
from supervegan_jax.models.single_stage import as_variables, images_for
from supervegan_jax.ops.color import replace_luma, to_float, to_uint8
from supervegan_jax.ops.resize import upsample_bicubic

# Frames before the first to be enhanced, the windows of those, and their ground truth.
Example = tuple[np.ndarray, Iterable[np.ndarray], np.ndarray]
Pictures = dict[str, np.ndarray]
Scores = dict[str, dict[str, float]]
# Of what `outputs` gives, those that are pictures of the frame.
_PICTURES = ("stage_a", "stage_b", "output")


class Evaluator:
    """Enhances frames and scores them as 8-bit pictures, which is what people see."""

    def __init__(self, generator: nn.Module, lpips_params: dict[str, Any]):
        """Keeps the network and the metric's weights; compiles on first use."""
        self._lpips_params = lpips_params
        self._generator: Any = generator
        self._enhance = jax.jit(
            lambda params, lr, stage: _pictures(generator, params, lr, stage),
            static_argnames="stage",
        )
        self._advance = jax.jit(
            lambda params, lr, state: _next_picture(generator, params, lr, state)
        )

    def enhance(
        self, params: Any, history: np.ndarray, windows: Iterable[np.ndarray], stage: str = "b"
    ) -> Iterator[Pictures]:
        """Enhances frames in a row.

        Args:
          params: the generator's.
          history: uint8 [n, h, w, 3], the frames before the first one, for networks that go
            through a sequence; the others do not look at it.
          windows: uint8 [t, h, w, 3], what a network reads of each frame.
          stage: "a" leaves stage B out.

        Yields:
          uint8 [r*h, r*w, 3] by name: "stage_a" (bicubic from half size) and, with "b", "stage_b";
          "output" of a network of one stage.
        """
        if self._generator.reading == "sequence":
            yield from self._enhance_sequence(params, history, windows)
            return
        for window in windows:
            pictures = self._enhance(params, window[None], stage)
            yield {name: np.asarray(picture)[0] for name, picture in pictures.items()}

    def _enhance_sequence(
        self, params: Any, history: np.ndarray, windows: Iterable[np.ndarray]
    ) -> Iterator[Pictures]:
        _, height, width, _ = history.shape
        state = self._generator.first_state(1, height, width)
        for frame in history:
            _, state = self._advance(params, frame[None, None], state)
        for window in windows:
            picture, state = self._advance(params, window[None], state)
            yield {"output": np.asarray(picture)[0]}

    def score(self, picture: np.ndarray, reference: np.ndarray) -> dict[str, float]:
        """PSNR (RGB, no border cropped, dB) and LPIPS (AlexNet v0.1) of uint8 [h, w, 3]."""
        x, y = (to_float(jnp.asarray(image[None])) for image in (picture, reference))
        return {
            "psnr": float(psnr(x, y)[0]),
            "lpips": float(lpips(self._lpips_params, x, y)[0]),
        }

    def evaluate(self, params: Any, examples: Iterable[Example], stage: str) -> dict[str, float]:
        """Mean scores over all frames: {"stage_a_psnr": .., "stage_b_lpips": ..}."""
        scores: list[Scores] = []
        for history, windows, references in examples:
            enhanced = self.enhance(params, history, windows, stage)
            for pictures, reference in zip(enhanced, references, strict=True):
                scores.append({name: self.score(x, reference) for name, x in pictures.items()})
        return {
            f"{name}_{metric}": value
            for name, row in mean_scores(scores).items()
            for metric, value in row.items()
        }


def _pictures(generator: nn.Module, params: Any, lr: jax.Array, stage: str) -> dict[str, jax.Array]:
    rgb = to_float(lr)
    read = images_for(generator, rgb)
    outputs: Any = generator.apply(as_variables(params), read, stage, method="outputs")
    pictures = {name: outputs[name] for name in _PICTURES if name in outputs}
    if "stage_a" in pictures:
        pictures["stage_a"] = upsample_bicubic(pictures["stage_a"])
    centre = rgb[:, rgb.shape[1] // 2]
    return {name: to_uint8(_in_colour(image, centre)) for name, image in pictures.items()}


def _in_colour(image: jax.Array, centre: jax.Array) -> jax.Array:
    """An enhanced picture as RGB; luma alone gets the colours of the enlarged input."""
    if image.shape[-1] == 3:
        return image
    return replace_luma(upsample_bicubic(centre, image.shape[1] // centre.shape[1]), image)


def _next_picture(
    generator: nn.Module, params: Any, lr: jax.Array, state: Any
) -> tuple[jax.Array, Any]:
    variables = as_variables(params)
    found: Any = generator.apply(variables, to_float(lr), state, method="advance")
    image, state = found
    return to_uint8(image[:, 0]), state


def mean_scores(scores: list[Scores]) -> Scores:
    """Averages rows of scores over frames, infinite ones (of equal pictures) left out.

    Raises:
      ValueError: there are no frames.
    """
    if not scores:
        raise ValueError("no held-out frames to score")
    return jax.tree.map(lambda *values: _finite_mean(values), *scores)


def _finite_mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return float(np.mean(finite or values))
