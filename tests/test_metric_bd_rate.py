import numpy as np
import pytest

from supervegan_jax.metrics.bd_rate import bd_metric, bd_rate

# Rates in kbit/s and PSNR in dB of curves with unequal numbers of points; rates and LPIPS.
PSNR_CURVES = (
    [164.5, 259.8, 1152.2, 2465.9, 3659.7],
    [36.52, 37.64, 41.39, 43.38, 44.73],
    [110.7, 231.0, 2220.1, 3281.9],
    [36.31, 38.32, 43.63, 44.85],
)
LPIPS_CURVES = (
    [150, 300, 600, 1200],
    [0.31, 0.22, 0.15, 0.11],
    [140, 310, 640, 1300],
    [0.29, 0.19, 0.12, 0.08],
)
# The package bjontegaard 1.3.0: bd_rate and bd_psnr, with min_overlap=0 and
# require_matching_points=False; BD-rate of LPIPS with the metric negated, since it takes rising
# metrics only.
OFFICIAL = {
    "pchip": (-25.3874982, 0.7441460, -23.1444986, -0.0262949),
    "cubic": (-24.9816677, 0.7058727, -22.3571404, -0.0262315),
    "akima": (-25.9713256, 0.7673833, -22.9631991, -0.0262554),
}


@pytest.mark.parametrize("method", list(OFFICIAL))
def test_equals_the_official_package(method):
    rate, psnr, lpips_rate, lpips = OFFICIAL[method]
    assert bd_rate(*PSNR_CURVES, method=method) == pytest.approx(rate, abs=1e-6)
    assert bd_metric(*PSNR_CURVES, method=method) == pytest.approx(psnr, abs=1e-6)
    assert bd_rate(*LPIPS_CURVES, method=method) == pytest.approx(lpips_rate, abs=1e-6)
    assert bd_metric(*LPIPS_CURVES, method=method) == pytest.approx(lpips, abs=1e-6)


@pytest.mark.parametrize("method", ["pchip", "cubic", "akima"])
def test_shifted_curves_by_hand(method):
    """Twice the rate for the same quality is 100 %; one unit more at the same rate is one."""
    rates, metric = np.array([100.0, 200, 400, 800, 1600]), np.array([30.0, 32, 34, 36, 38])
    assert bd_rate(rates, metric, 2 * rates, metric, method) == pytest.approx(100.0)
    assert bd_rate(2 * rates, metric, rates, metric, method) == pytest.approx(-50.0)
    assert bd_metric(rates, metric, rates, metric + 1, method) == pytest.approx(1.0)
    assert bd_rate(rates[::-1], metric[::-1], rates, metric, method) == pytest.approx(0.0, abs=1e-9)


def test_errors():
    good = ([1, 2, 3, 4], [1, 2, 3, 4])
    with pytest.raises(ValueError, match="curve a has 3 points; cubic takes at least 4"):
        bd_rate([1, 2, 3], [1, 2, 3], *good, method="cubic")
    with pytest.raises(ValueError, match=r"curve b is not monotone: metric 2 at rate 2, 1\.5 at 3"):
        bd_rate(*good, [1, 2, 3, 4], [1, 2, 1.5, 3])
    with pytest.raises(ValueError, match="curve a is not monotone: metric 7 at rate 1, 7 at 2"):
        bd_rate([1, 2, 3], [7, 7, 7], *good)
    with pytest.raises(ValueError, match="share no stretch: metrics 1 to 4 and 11 to 14"):
        bd_rate(*good, [1, 2, 3, 4], [11, 12, 13, 14])
    with pytest.raises(ValueError, match=r"log10 rates 0 to 0\.60206 and 1 to 1\.3"):
        bd_metric(*good, [10, 20], [1, 2])
    with pytest.raises(ValueError, match="rises with the rate on one curve, falls on the other"):
        bd_rate(*good, [1, 2, 3, 4], [4, 3, 2, 1])
    with pytest.raises(ValueError, match="curve a has a metric of nan"):
        bd_rate([1, 2, 3], [1, np.nan, 3], *good)
    with pytest.raises(ValueError, match="curve b has a rate of 0; accepted: above 0"):
        bd_rate(*good, [0, 2, 3], [1, 2, 3])
    with pytest.raises(ValueError, match="curve b has the rate 2 twice"):
        bd_rate(*good, [1, 2, 2], [1, 2, 3])
    with pytest.raises(ValueError, match=r"rates of shape \(3,\), metrics of \(2,\)"):
        bd_rate([1, 2, 3], [1, 2], *good)
    with pytest.raises(ValueError, match="method 'spline'; accepted: pchip, cubic, akima"):
        bd_rate(*good, *good, method="spline")
