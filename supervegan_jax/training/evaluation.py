"""Scores of the averaged generator on whole held-out frames."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from supervegan_jax.metrics.lpips import lpips
from supervegan_jax.metrics.psnr import psnr
from supervegan_jax.models.single_stage import as_variables
from supervegan_jax.ops.color import to_float, to_uint8
from supervegan_jax.ops.resize import upsample_bicubic

Example = tuple[np.ndarray, np.ndarray]
Scores = dict[str, dict[str, float]]


class Evaluator:
    """Enhances frames and scores them as 8-bit pictures, which is what people see."""

    def __init__(self, generator: nn.Module, lpips_params: dict[str, Any]):
        """Keeps the network and the metric's weights; compiles on first use."""
        self._lpips_params = lpips_params
        self._enhance = jax.jit(
            lambda params, lr, stage: _pictures(generator, params, lr, stage),
            static_argnames="stage",
        )

    def enhance(self, params: Any, window: np.ndarray, stage: str = "b") -> dict[str, np.ndarray]:
        """Enhances the centre of one window.

        Args:
          params: the generator's.
          window: uint8 [t, h, w, 3].
          stage: "a" leaves stage B out.

        Returns:
          uint8 [r*h, r*w, 3] by name: "stage_a" (bicubic from half size) and, with "b", "stage_b";
          "output" of a network of one stage.
        """
        pictures = self._enhance(params, window[None], stage)
        return {name: np.asarray(picture)[0] for name, picture in pictures.items()}

    def score(self, picture: np.ndarray, reference: np.ndarray) -> dict[str, float]:
        """PSNR (RGB, no border cropped, dB) and LPIPS (AlexNet v0.1) of uint8 [h, w, 3]."""
        x, y = (to_float(jnp.asarray(image[None])) for image in (picture, reference))
        return {
            "psnr": float(psnr(x, y)[0]),
            "lpips": float(lpips(self._lpips_params, x, y)[0]),
        }

    def evaluate(self, params: Any, examples: Iterable[Example], stage: str) -> dict[str, float]:
        """Mean scores over (window, reference) pairs: {"stage_a_psnr": .., "stage_b_lpips": ..}."""
        scores: list[Scores] = []
        for window, reference in examples:
            pictures = self.enhance(params, window, stage)
            scores.append({name: self.score(x, reference) for name, x in pictures.items()})
        return {
            f"{name}_{metric}": value
            for name, row in mean_scores(scores).items()
            for metric, value in row.items()
        }


def _pictures(generator: nn.Module, params: Any, lr: jax.Array, stage: str) -> dict[str, jax.Array]:
    outputs: Any = generator.apply(as_variables(params), to_float(lr), stage, method="outputs")
    if "stage_a" in outputs:
        outputs = {**outputs, "stage_a": upsample_bicubic(outputs["stage_a"])}
    return {name: to_uint8(image) for name, image in outputs.items()}


def mean_scores(scores: list[Scores]) -> Scores:
    """Averages rows of scores over frames.

    Raises:
      ValueError: there are no frames.
    """
    if not scores:
        raise ValueError("no held-out frames to score")
    return jax.tree.map(lambda *values: float(np.mean(values)), *scores)
