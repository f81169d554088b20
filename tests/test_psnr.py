import jax.numpy as jnp
import numpy as np
import pytest

from supervegan_jax.metrics.psnr import luma, psnr


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
