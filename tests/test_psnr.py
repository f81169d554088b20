import jax.numpy as jnp
import numpy as np
import pytest
from metric_samples import pairs, unit

from supervegan_jax.metrics.psnr import luma, psnr, psnr_of_codes, rmse


def test_hand_computed() -> None:
    x = jnp.full((1, 4, 5, 3), 0.5)
    # Squared error 0.01 everywhere: 20 dB.
    assert psnr(x, x + 0.1)[0] == pytest.approx(20.0, abs=1e-4)
    # One of the 60 numbers is wrong by 0.5: mean 0.25 / 60.
    assert psnr(x, x.at[0, 2, 3, 1].set(1.0))[0] == pytest.approx(10 * np.log10(240.0), abs=1e-4)


def test_is_per_image_over_all_channels() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 3, 20, 30, 3), np.float32)
    mse = ((x.astype(np.float64) - y) ** 2).reshape(3, -1).mean(1)
    np.testing.assert_allclose(psnr(x, y), -10 * np.log10(mse), atol=1e-4)


def test_identical_images_are_infinite() -> None:
    x = jnp.ones((2, 3, 3, 3))
    assert jnp.all(jnp.isposinf(psnr(x, x)))


def test_crop_border_leaves_the_border_out() -> None:
    x = jnp.zeros((1, 6, 7, 3))
    y = x.at[:, 2:-2, 2:-2].set(0.1)
    assert psnr(x, y.at[:, :2].set(1.0).at[:, :, -2:].set(1.0), crop_border=2)[0] == pytest.approx(
        20.0, abs=1e-4
    )


@pytest.mark.parametrize(
    ("standard", "weights"), [("bt601", (0.299, 0.587, 0.114)), ("bt709", (0.2126, 0.7152, 0.0722))]
)
def test_luma_of_the_primaries(standard: str, weights: tuple[float, ...]) -> None:
    primaries = jnp.eye(3).reshape(1, 1, 3, 3)
    np.testing.assert_allclose(luma(primaries, standard).ravel(), weights, rtol=1e-6)
    levels = luma(jnp.array([0.0, 1.0])[None, None, :, None].repeat(3, 3), standard)
    np.testing.assert_allclose(levels.ravel(), [0, 1], atol=1e-6)


def test_limited_range_luma_is_matlabs() -> None:
    rng = np.random.default_rng(0)
    x, y = (jnp.asarray(a) for a in rng.random((2, 1, 8, 9, 3), np.float32))
    # MATLAB's rgb2ycbcr of [0, 1]: 16 + 65.481 R + 128.553 G + 24.966 B.
    expected = (16 + np.asarray(x) @ np.array([65.481, 128.553, 24.966])) / 255
    limited = luma(x, "bt601", limited_range=True)
    np.testing.assert_allclose(limited[..., 0], expected, atol=1e-5)
    gain = psnr(limited, luma(y, "bt601", limited_range=True)) - psnr(
        luma(x, "bt601"), luma(y, "bt601")
    )
    assert gain[0] == pytest.approx(20 * np.log10(255 / 219), abs=1e-3)


def test_errors() -> None:
    x = jnp.zeros((1, 8, 8, 3))
    with pytest.raises(ValueError, match=r"shapes \(1, 8, 8, 3\) and \(1, 8, 9, 3\)"):
        psnr(x, jnp.zeros((1, 8, 9, 3)))
    with pytest.raises(ValueError, match="images of uint8; accepted: float"):
        psnr(x.astype(jnp.uint8), x.astype(jnp.uint8))
    with pytest.raises(ValueError, match="crop_border 4 of images of 8x8; accepted: 0 to 3"):
        psnr(x, x, crop_border=4)
    with pytest.raises(ValueError, match="luma standard 'bt2020'; accepted: bt601, bt709"):
        luma(x, "bt2020")
    with pytest.raises(ValueError, match=r"accepted: \[b, h, w, c\]"):
        psnr(x[0], x[0])


# BasicSR 1.4.2 (calculate_psnr, NumPy) on 8-bit BGR: RGB and MATLAB's Y, crop_border 0 and 4.
OFFICIAL = {
    "even": {
        ("rgb", 0): 36.288336,
        ("y", 0): 37.642359,
        ("rgb", 4): 36.286886,
        ("y", 4): 37.641203,
    },
    "odd": {("rgb", 0): 39.819993, ("y", 0): 41.207786, ("rgb", 4): 39.822921, ("y", 4): 41.209849},
    "small": {
        ("rgb", 0): 24.460911,
        ("y", 0): 25.753477,
        ("rgb", 4): 24.838126,
        ("y", 4): 26.127136,
    },
}


def test_equals_the_official_values() -> None:
    for name, (distorted, reference) in pairs().items():
        x, y = unit(distorted), unit(reference)
        for (channel, border), expected in OFFICIAL[name].items():
            value = float(psnr(x, y, channel=channel, crop_border=border)[0])
            assert value == pytest.approx(expected, abs=2e-5), (name, channel, border)


def test_a_megapixel_keeps_the_fourth_decimal() -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 250, (1, 1080, 1920, 3)).astype(np.uint8)
    y = (x + rng.integers(0, 6, x.shape)).astype(np.uint8)
    mse = np.mean((x.astype(np.float64) - y) ** 2)
    got = psnr(unit(x[0]), unit(y[0]))
    assert float(got[0]) == pytest.approx(10 * np.log10(255**2 / mse), abs=5e-5)


@pytest.mark.parametrize(
    ("bits", "dtype"), [(8, "uint8"), (10, "uint16"), (12, "uint16"), (16, "uint16")]
)
def test_codes_of_every_bit_depth(bits: int, dtype: str) -> None:
    peak = 2**bits - 1
    x = np.random.default_rng(bits).integers(0, peak + 1, (2, 9, 11, 1)).astype(dtype)
    y = np.random.default_rng(99).integers(0, peak + 1, (2, 9, 11, 1)).astype(dtype)
    mse = ((x.astype(np.float64) - y) ** 2).reshape(2, -1).mean(1)
    got = psnr_of_codes(jnp.asarray(x), jnp.asarray(y), bit_depth=bits)
    np.testing.assert_allclose(got, 10 * np.log10(peak**2 / mse), atol=1e-4)


def test_neighbouring_codes_are_not_rounded_together() -> None:
    for bits, dtype, code in ((8, "uint8", 254), (12, "uint16", 4094), (16, "uint16", 50000)):
        x = jnp.full((1, 4, 4, 1), code, dtype)
        got = psnr_of_codes(x, x + jnp.ones((), dtype), bit_depth=bits)
        assert float(got[0]) == pytest.approx(20 * np.log10(2**bits - 1), abs=1e-5)
    for channel in ("y", "y709", "y_full"):
        x = jnp.full((1, 9, 8, 3), 199 / 255)
        assert float(psnr(x, x, channel=channel)[0]) == np.inf
        span = 255 if channel == "y_full" else 219
        expected = 20 * np.log10(255 * 255 / span)
        assert float(psnr(x, x - 1 / 255, channel=channel)[0]) == pytest.approx(expected, abs=2e-4)


def test_rmse_is_that_of_the_challenge() -> None:
    """PIRM 2018 (calc_scores.m): MATLAB's 8-bit luma, 4 pixels left out, sqrt of immse."""
    distorted, reference = pairs()["odd"]
    codes = [
        np.floor(16.5 + image.astype(np.float64) @ [65.481, 128.553, 24.966] / 255)[4:-4, 4:-4]
        for image in (distorted, reference)
    ]
    expected = np.sqrt(np.mean((codes[0] - codes[1]) ** 2))
    x, y = unit(distorted), unit(reference)
    assert float(rmse(x, y, crop_border=4)[0]) == pytest.approx(expected, abs=1e-4)
    rgb = np.sqrt(np.mean((distorted.astype(np.float64) - reference) ** 2))
    assert float(rmse(x, y, channel="rgb")[0]) == pytest.approx(rgb, abs=1e-4)
    assert float(rmse(x, y, channel="rgb", peak=1.0)[0]) == pytest.approx(rgb / 255, abs=1e-6)


def test_more_errors() -> None:
    x = jnp.zeros((1, 8, 8, 3))
    with pytest.raises(ValueError, match="psnr of images with NaN or infinity"):
        psnr(x.at[0, 0, 0, 0].set(jnp.nan), x)
    with pytest.raises(ValueError, match="psnr of images with values to 200; accepted"):
        psnr(x, x + 200.0)
    with pytest.raises(ValueError, match="psnr of channel 'u'; accepted: rgb, y"):
        psnr(x, x, channel="u")
    codes = jnp.zeros((1, 8, 8, 3), jnp.uint16)
    with pytest.raises(ValueError, match="bit_depth 9; accepted: 8, 10, 12, 16"):
        psnr_of_codes(codes, codes, bit_depth=9)
    with pytest.raises(ValueError, match="a code 1024 at 10 bits; accepted: 0 to 1023"):
        psnr_of_codes(codes.at[0, 0, 0, 0].set(1024), codes, bit_depth=10)
    with pytest.raises(ValueError, match="codes of uint16 and uint8: not equal"):
        psnr_of_codes(codes, codes.astype(jnp.uint8))
    with pytest.raises(ValueError, match="codes of float32; accepted: unsigned"):
        psnr_of_codes(x, x)
    with pytest.raises(ValueError, match="rmse of the luma of 1 channels"):
        rmse(x[..., :1], x[..., :1])
