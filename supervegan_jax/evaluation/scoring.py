"""The metrics by name, and scoring a stream of picture pairs with them."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import jax.numpy as jnp
import numpy as np

from supervegan_jax.pretrained.packaged_weights import load_lpips_params

Score = Callable[[Any, Any], Any]


@dataclasses.dataclass(frozen=True)
class Metric:
    """How a metric is called, written and read.

    Attributes:
      title: for tables and axes, with its unit.
      digits: shown behind the point.
      higher_is_better: whether more of it is better.
      needs: "pair" of pictures, "picture" (the distorted alone), "sequence" (each frame with the
        one before it) or "videos" (two files).
    """

    title: str
    digits: int
    higher_is_better: bool
    needs: str = "pair"


METRICS: Final[dict[str, Metric]] = {
    "psnr": Metric("PSNR (dB)", 2, True),
    "psnr_y": Metric("PSNR-Y (dB)", 2, True),
    "rmse": Metric("RMSE", 3, False),
    "ssim": Metric("SSIM", 4, True),
    "ssim_y": Metric("SSIM-Y", 4, True),
    "ms_ssim": Metric("MS-SSIM", 4, True),
    "lpips": Metric("LPIPS (AlexNet)", 4, False),
    "lpips_vgg": Metric("LPIPS (VGG-16)", 4, False),
    "tint": Metric("tint", 3, False),
    "niqe": Metric("NIQE", 3, False, "picture"),
    "pi": Metric("PI", 3, False, "picture"),
    "vmaf": Metric("VMAF", 2, True, "videos"),
    "tof": Metric("tOF", 4, False, "sequence"),
    "tlp": Metric("tLP", 4, False, "sequence"),
    "flicker": Metric("flicker", 4, False, "sequence"),
}


def read_metrics(names: str | Sequence[str]) -> tuple[str, ...]:
    """The metrics' names of "psnr,ssim", each once.

    Raises:
      ValueError: an unknown one, or none.
    """
    given = names.split(",") if isinstance(names, str) else names
    found = tuple(dict.fromkeys(name.strip() for name in given if name.strip()))
    for name in found:
        if name not in METRICS:
            raise ValueError(f"metric {name!r}; accepted: {', '.join(METRICS)}")
    if not found:
        raise ValueError(f"no metric is named; accepted: {', '.join(METRICS)}")
    return found


class Scorer:
    """Scores the pictures of one clip in order; metrics of sequences remember the last pair.

    Attributes:
      metrics: those it computes; "vmaf" is none of them, since it takes files.
    """

    def __init__(
        self, metrics: Sequence[str], *, crop_border: int = 0, ma_model: Path | None = None
    ):
        """Loads what the metrics need.

        Args:
          metrics: keys of `METRICS`.
          crop_border: pixels left out at each side before anything is computed.
          ma_model: the model file of Ma's score, for "pi".

        Raises:
          ValueError: a weights file is missing, or the border is negative.
        """
        if crop_border < 0:
            raise ValueError(f"crop_border {crop_border}; accepted: 0 or more")
        self.metrics = tuple(name for name in metrics if METRICS[name].needs != "videos")
        self._border = crop_border
        self._functions = {name: _load(name, ma_model) for name in self.metrics}
        self._last: tuple[Any, Any] | None = None

    def start(self) -> None:
        """Forgets the last pair: another clip begins."""
        self._last = None

    def score(self, reference: Any, distorted: Any) -> dict[str, float | None]:
        """Scores the next pair.

        Args:
          reference, distorted: float32 RGB in [0, 1], [1, h, w, 3].

        Returns:
          By metric; None for a metric of sequences where no frame came before. Identical
          pictures have an infinite PSNR; NaN is a metric that is undefined for the pictures.

        Raises:
          ValueError: the pictures do not suit a metric.
        """
        x, y = self._cropped(distorted), self._cropped(reference)
        scores: dict[str, float | None] = {}
        for name, function in self._functions.items():
            if METRICS[name].needs != "sequence":
                scores[name] = float(np.asarray(function(x, y)).reshape(()))
            elif self._last is None:
                scores[name] = None
            else:
                both = [jnp.concatenate(two) for two in zip(self._last, (x, y), strict=True)]
                scores[name] = float(np.asarray(function(*both)).reshape(()))
        if any(METRICS[name].needs == "sequence" for name in self.metrics):
            self._last = (x, y)
        return scores

    def _cropped(self, picture: Any) -> Any:
        border = self._border
        height, width = picture.shape[1:3]
        check_border(border, height, width)
        rows, columns = slice(border, height - border), slice(border, width - border)
        return jnp.asarray(picture)[:, rows, columns]


def check_border(crop_border: int, height: int, width: int) -> None:
    """Refuses a border that leaves no pixel of pictures of this size.

    Raises:
      ValueError: it does.
    """
    if 2 * crop_border >= min(height, width):
        raise ValueError(
            f"crop_border {crop_border} of pictures of {width}x{height}; accepted: 0 to "
            f"{(min(height, width) - 1) // 2}"
        )


def _load(name: str, ma_model: Path | None) -> Score:
    """The function (distorted, reference) -> one score of a metric, with its weights."""
    if name in ("lpips", "lpips_vgg"):
        from supervegan_jax.metrics.lpips import lpips

        network = "alexnet" if name == "lpips" else "vgg16"
        weights = load_lpips_params(network)
        return lambda x, y: lpips(weights, x, y, network=network)
    if name == "niqe":
        from supervegan_jax.metrics.niqe import niqe

        return _nan_where_flat(niqe)
    if name == "pi":
        from supervegan_jax.metrics.ma_score import load_ma_model
        from supervegan_jax.metrics.perceptual_index import perceptual_index

        model = load_ma_model(ma_model)
        return _nan_where_flat(functools.partial(perceptual_index, model=model))
    if METRICS[name].needs == "sequence":
        from supervegan_jax.metrics import temporal

        if name == "tlp":
            return functools.partial(temporal.tlp, load_lpips_params("alexnet"))
        return temporal.tof if name == "tof" else temporal.flicker
    return _load_plain(name)


def _nan_where_flat(metric: Callable[[Any], Any]) -> Score:
    """A picture of nearly one colour has no statistics; the rest of its video has."""
    from supervegan_jax.metrics.inputs import FlatImageError

    def score(x: Any, y: Any) -> Any:
        try:
            return metric(x)
        except FlatImageError:
            return math.nan

    return score


def _load_plain(name: str) -> Score:
    from supervegan_jax.metrics import psnr, ssim, tint

    plain: dict[str, Score] = {
        "psnr": psnr.psnr,
        # BT.601 luma on video levels, which papers on super resolution measure.
        "psnr_y": lambda x, y: psnr.psnr(x, y, channel="y"),
        "rmse": psnr.rmse,
        "ssim": ssim.ssim,
        "ssim_y": lambda x, y: ssim.ssim(x, y, channel="y"),
        "ms_ssim": ssim.ms_ssim,
        "tint": tint.tint,
    }
    return plain[name]
