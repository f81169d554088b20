import jax.numpy as jnp
import numpy as np
import pytest
from metric_samples import pairs, unit
from scipy.ndimage import correlate

from supervegan_jax.metrics.ssim import ms_ssim, ssim

# BasicSR 1.4.2 (calculate_ssim, NumPy) on 8-bit BGR: RGB and MATLAB's Y, crop_border 0 and 4. On
# RGB, scikit-image 0.26 (gaussian_weights=True, sigma=1.5, use_sample_covariance=False) says the
# same to 12 digits.
OFFICIAL = {
    "even": {("rgb", 0): 0.9784807, ("y", 0): 0.9812524, ("rgb", 4): 0.9781881, ("y", 4): 0.980987},
    "odd": {("rgb", 0): 0.9858472, ("y", 0): 0.9882867, ("rgb", 4): 0.986262, ("y", 4): 0.9886415},
    "small": {
        ("rgb", 0): 0.8508543,
        ("y", 0): 0.8622075,
        ("rgb", 4): 0.8508975,
        ("y", 4): 0.862029,
    },
}
# pytorch-msssim 1.0.0, ms_ssim(data_range=255) in float64.
OFFICIAL_MS = {"even": 0.9896543, "odd": 0.9975711}


@pytest.fixture(scope="module")
def samples():
    return pairs()


@pytest.mark.parametrize("name", list(OFFICIAL))
def test_equals_the_official_values(samples, name):
    x, y = (unit(image) for image in samples[name])
    for (channel, border), expected in OFFICIAL[name].items():
        value = ssim(x, y, channel=channel, crop_border=border)
        assert value.shape == (1,)
        assert float(value[0]) == pytest.approx(expected, abs=2e-6), (channel, border)


@pytest.mark.parametrize("name", list(OFFICIAL_MS))
def test_multi_scale_equals_the_package(samples, name):
    x, y = (unit(image) for image in samples[name])
    assert float(ms_ssim(x, y, odd_sizes="zeros")[0]) == pytest.approx(OFFICIAL_MS[name], abs=2e-6)


def plain_similarity(x, y):
    """The textbook's SSIM and contrast-structure of one channel in [0, 255], float64."""
    taps = np.exp(-((np.arange(11) - 5) ** 2) / 4.5)
    window = np.outer(taps, taps) / taps.sum() ** 2

    def mean(image):
        return correlate(image, window)[5:-5, 5:-5]

    c1, c2 = 2.55**2, 7.65**2
    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    contrast = (2 * cov + c2) / (vx + vy + c2)
    return ((2 * mx * my + c1) / (mx**2 + my**2 + c1) * contrast).mean(), contrast.mean()


def halved(x):
    """MATLAB's imfilter(x, ones(2) / 4, 'symmetric'), then every second pixel from the first."""
    padded = np.pad(x, [(0, 1), (0, 1)], mode="symmetric")
    return (padded[:-1, :-1] + padded[1:, :-1] + padded[:-1, 1:] + padded[1:, 1:])[::2, ::2] / 4


@pytest.mark.parametrize("name", ["even", "odd"])
def test_multi_scale_follows_msssim_m(samples, name):
    """Odd sizes are halved as the authors do, checked against a float64 rewriting."""
    weights = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    expected = []
    for channel in range(3):
        x, y = (image[..., channel].astype(np.float64) for image in samples[name])
        product = 1.0
        for scale, weight in enumerate(weights):
            similarity, contrast = plain_similarity(x, y)
            product *= (similarity if scale == 4 else contrast) ** weight
            x, y = halved(x), halved(y)
        expected.append(product)
    x, y = (unit(image) for image in samples[name])
    assert float(ms_ssim(x, y)[0]) == pytest.approx(np.mean(expected), abs=2e-6)


def test_multi_scale_of_luma(samples):
    x, y = (unit(image) for image in samples["even"])
    luma = [
        np.round((np.asarray(image[0]) @ [65.481, 128.553, 24.966] + 16), 9) for image in (x, y)
    ]
    gray = [jnp.asarray(image[None, ..., None] / 255, jnp.float32) for image in luma]
    assert float(ms_ssim(x, y, channel="y")[0]) == pytest.approx(float(ms_ssim(*gray)[0]), abs=1e-6)


def test_batches_and_identical_images(samples):
    x, y = (unit(image) for image in samples["even"])
    both = ssim(jnp.concatenate([x, y]), jnp.concatenate([y, y]))
    assert float(both[0]) == pytest.approx(OFFICIAL["even"]["rgb", 0], abs=2e-6)
    assert float(both[1]) == pytest.approx(1.0, abs=1e-6)
    assert float(ms_ssim(y, y)[0]) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_images_of_one_colour(level):
    """Without variance only the luminance term is left: (2ab + C1) / (a^2 + b^2 + C1)."""
    x, y = jnp.full((1, 170, 170, 3), level), jnp.full((1, 170, 170, 3), 0.5)
    expected = (level + 1e-4) / (level**2 + 0.25 + 1e-4)
    assert float(ssim(x, y)[0]) == pytest.approx(expected, abs=1e-5)
    assert float(ssim(x, x)[0]) == pytest.approx(1.0, abs=1e-5)
    assert float(ms_ssim(x, y)[0]) == pytest.approx(expected**0.1333, abs=1e-5)


def test_negative_similarity_is_kept_and_counts_as_zero_over_scales():
    rng = np.random.default_rng(0)
    noise = rng.random((1, 170, 170, 3), np.float32)
    x, y = jnp.asarray(noise), jnp.asarray(1 - noise)
    assert float(ssim(x, y)[0]) < -0.9
    assert float(ms_ssim(x, y)[0]) == 0.0


def test_errors():
    x = jnp.zeros((1, 180, 180, 3))
    with pytest.raises(ValueError, match=r"ssim of images of shapes .* not equal"):
        ssim(x, x[:, :-1])
    with pytest.raises(ValueError, match="ssim of images of uint8; accepted: float"):
        ssim(x.astype(jnp.uint8), x.astype(jnp.uint8))
    with pytest.raises(ValueError, match="ssim of images with NaN or infinity"):
        ssim(x.at[0, 3, 4, 1].set(jnp.nan), x)
    with pytest.raises(ValueError, match="ssim of images with values to 255; accepted"):
        ssim(x + 255.0, x)
    with pytest.raises(
        ValueError, match=r"ssim with crop_border 85 of images of 180x180; .*0 to 84"
    ):
        ssim(x, x, crop_border=85)
    with pytest.raises(ValueError, match="crop_border 0 of images of 9x9; accepted: sides of at l"):
        ssim(x[:, :9, :9], x[:, :9, :9])
    with pytest.raises(ValueError, match="ssim of channel 'cb'; accepted: rgb, y, "):
        ssim(x, x, channel="cb")
    with pytest.raises(ValueError, match="luma of 1 channels; accepted: 3"):
        ssim(x[..., :1], x[..., :1], channel="y")
    with pytest.raises(
        ValueError, match=r"ms_ssim with .* 160x160; accepted: sides of at least 161"
    ):
        ms_ssim(x[:, :160, :160], x[:, :160, :160])
    with pytest.raises(ValueError, match="odd_sizes 'crop'; accepted: symmetric, zeros"):
        ms_ssim(x, x, odd_sizes="crop")
