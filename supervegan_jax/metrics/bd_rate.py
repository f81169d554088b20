"""Bjøntegaard deltas: the mean distance between two rate-distortion curves.

Bjøntegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33 (2001): rates on
a logarithmic scale, a curve through the points, and the mean difference over the stretch that both
curves cover.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.interpolate import Akima1DInterpolator, PchipInterpolator

Numbers = Sequence[float] | np.ndarray
Integral = Callable[[float, float], Any]

# method -> the fewest points a curve must have.
METHODS = {"pchip": 2, "cubic": 4, "akima": 3}


def bd_rate(
    rate_a: Numbers,
    metric_a: Numbers,
    rate_b: Numbers,
    metric_b: Numbers,
    method: str = "pchip",
) -> float:
    """How much more rate curve b needs than curve a for the same quality, in percent.

    Negative: b saves that share of the bits. Metrics of which less is better (LPIPS) are fine, as
    long as they fall on both curves.

    Args:
      rate_a: rates of the anchor, in any one unit, in any order.
      metric_a: the metric at those rates.
      rate_b: rates of the curve that is judged.
      metric_b: the metric at those rates.
      method: "pchip", piecewise cubic and monotone, which JVET's common test conditions use;
        "cubic", VCEG-M33's one polynomial of degree 3; "akima", Akima's splines.

    Returns:
      Percent.

    Raises:
      ValueError: for another method, too few points, unequal lengths, rates that are not positive,
        numbers that are not finite, a rate given twice, a curve on which more rate does not always
        improve the metric, or curves without a common stretch.
    """
    curve_a, curve_b = _curve("a", rate_a, metric_a, method), _curve("b", rate_b, metric_b, method)
    if _direction("a", curve_a) != _direction("b", curve_b):
        raise ValueError("bd_rate: the metric rises with the rate on one curve, falls on the other")
    difference = _mean_difference(curve_a[::-1], curve_b[::-1], method, "metrics")
    return float((10.0**difference - 1.0) * 100.0)


def bd_metric(
    rate_a: Numbers,
    metric_a: Numbers,
    rate_b: Numbers,
    metric_b: Numbers,
    method: str = "pchip",
) -> float:
    """How much greater the metric of curve b is than that of curve a at the same rate.

    With PSNR this is BD-PSNR. A curve need not be monotone for it.

    Args:
      rate_a, metric_a, rate_b, metric_b, method: as in `bd_rate`.

    Returns:
      The metric's unit.

    Raises:
      ValueError: as `bd_rate`, but for curves that are not monotone.
    """
    curve_a, curve_b = _curve("a", rate_a, metric_a, method), _curve("b", rate_b, metric_b, method)
    return _mean_difference(curve_a, curve_b, method, "log10 rates")


def _curve(
    name: str, rates: Numbers, metrics: Numbers, method: str
) -> tuple[np.ndarray, np.ndarray]:
    """One curve as (log10 rate, metric), by rising rate."""
    if method not in METHODS:
        raise ValueError(f"Bjøntegaard method {method!r}; accepted: {', '.join(METHODS)}")
    rate, metric = np.asarray(rates, np.float64), np.asarray(metrics, np.float64)
    if rate.ndim != 1 or rate.shape != metric.shape:
        raise ValueError(
            f"curve {name}: rates of shape {rate.shape}, metrics of {metric.shape}; accepted: "
            "equal [n]"
        )
    if len(rate) < METHODS[method]:
        raise ValueError(
            f"curve {name} has {len(rate)} points; {method} takes at least {METHODS[method]}"
        )
    for what, values in (("rate", rate), ("metric", metric)):
        if not np.isfinite(values).all():
            raise ValueError(f"curve {name} has a {what} of {values[~np.isfinite(values)][0]}")
    if rate.min() <= 0:
        raise ValueError(f"curve {name} has a rate of {rate.min():g}; accepted: above 0")
    order = np.argsort(rate)
    rate, metric = rate[order], metric[order]
    twice = rate[1:][np.diff(rate) == 0]
    if len(twice):
        raise ValueError(f"curve {name} has the rate {twice[0]:g} twice")
    return np.log10(rate), metric


def _direction(name: str, curve: tuple[np.ndarray, np.ndarray]) -> float:
    """1 if the metric rises with the rate, -1 if it falls; refuses both."""
    log_rate, metric = curve
    direction = float(np.sign(metric[-1] - metric[0]))
    wrong = np.nonzero(np.diff(metric) * direction <= 0)[0]
    if len(wrong):
        first = wrong[0]
        raise ValueError(
            f"curve {name} is not monotone: metric {metric[first]:g} at rate "
            f"{10 ** log_rate[first]:g}, {metric[first + 1]:g} at {10 ** log_rate[first + 1]:g}"
        )
    return direction


def _integral(x: np.ndarray, y: np.ndarray, method: str) -> Integral:
    """The definite integral of the curve through the points; x rises."""
    if method == "pchip":
        return PchipInterpolator(x, y).integrate
    if method == "akima":
        return Akima1DInterpolator(x, y).integrate
    polynomial = np.polyint(np.polyfit(x, y, 3))
    return lambda low, high: float(np.diff(np.polyval(polynomial, [low, high]))[0])


def _mean_difference(
    curve_a: tuple[np.ndarray, np.ndarray],
    curve_b: tuple[np.ndarray, np.ndarray],
    method: str,
    axis: str,
) -> float:
    """Mean of b - a over the stretch of x that both curves (x, y) cover."""
    low = max(curve_a[0].min(), curve_b[0].min())
    high = min(curve_a[0].max(), curve_b[0].max())
    if low >= high:
        raise ValueError(
            f"the curves share no stretch: {axis} {curve_a[0].min():g} to {curve_a[0].max():g} and "
            f"{curve_b[0].min():g} to {curve_b[0].max():g}"
        )
    areas = []
    for x, y in (curve_a, curve_b):
        order = np.argsort(x)
        areas.append(float(_integral(x[order], y[order], method)(low, high)))
    return (areas[1] - areas[0]) / float(high - low)
