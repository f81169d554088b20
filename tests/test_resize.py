import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from supervegan_jax.ops.resize import (
    bilinear_downsampling_weights,
    downsample_bicubic,
    downsample_bilinear,
    downsample_gaussian,
    keys_kernel,
    upsample_bicubic,
    upsample_nearest,
)


def numpy_bicubic(x: np.ndarray, scale: int) -> np.ndarray:
    """Keys interpolation at every output pixel centre, in loops, the border replicated."""
    h, w, c = x.shape
    y = np.zeros((h * scale, w * scale, c))
    for i in range(h * scale):
        for j in range(w * scale):
            u, v = (i + 0.5) / scale - 0.5, (j + 0.5) / scale - 0.5
            for m in range(int(np.floor(u)) - 1, int(np.floor(u)) + 3):
                for n in range(int(np.floor(v)) - 1, int(np.floor(v)) + 3):
                    pixel = x[np.clip(m, 0, h - 1), np.clip(n, 0, w - 1)]
                    y[i, j] += keys_kernel(u - m) * keys_kernel(v - n) * pixel
    return y


def test_keys_kernel_at_hand_computed_distances():
    # a = -0.5: w(1/4) = 1.5/64 - 2.5/16 + 1
    assert keys_kernel(0) == 1
    assert keys_kernel(0.25) == pytest.approx(0.8671875)
    assert keys_kernel(-0.75) == pytest.approx(0.2265625)
    assert keys_kernel(1.25) == pytest.approx(-0.0703125)
    assert keys_kernel(1.75) == pytest.approx(-0.0234375)
    assert keys_kernel(2) == keys_kernel(3.5) == 0


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_upsample_bicubic_equals_loops(scale):
    x = np.random.default_rng(0).random((5, 6, 3), np.float32)
    y = upsample_bicubic(jnp.asarray(x[None]), scale)
    np.testing.assert_allclose(y[0], numpy_bicubic(x, scale), atol=1e-6)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(1, 2), (3, 4)])
def test_gradient_of_upsample_bicubic_is_its_transpose(scale, size):
    # A linear map's columns, taken from the loops above, one pixel at a time.
    pixels = np.eye(size[0] * size[1], dtype=np.float32).reshape(-1, *size, 1)
    columns = np.stack([numpy_bicubic(pixel, scale).ravel() for pixel in pixels])
    wanted = np.random.default_rng(2).random((1, scale * size[0], scale * size[1], 1), np.float32)
    x = jnp.ones((1, *size, 1))
    found = jax.grad(lambda x: jnp.sum(upsample_bicubic(x, scale) * wanted))(x)
    np.testing.assert_allclose(found.ravel(), columns @ wanted.ravel(), atol=2e-5)


@pytest.mark.parametrize("scale", [2, 4])
def test_upsample_bicubic_equals_jax_away_from_the_border(scale):
    x = jnp.asarray(np.random.default_rng(1).random((1, 12, 14, 2), np.float32))
    theirs = jax.image.resize(x, (1, 12 * scale, 14 * scale, 2), "cubic")
    inside = slice(3 * scale, -3 * scale)
    ours = upsample_bicubic(x, scale)
    np.testing.assert_allclose(ours[:, inside, inside], theirs[:, inside, inside], atol=1e-6)


def test_upsample_nearest_repeats_pixels():
    x = np.arange(12, dtype=np.float32).reshape(1, 2, 3, 2)
    expected = x.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_array_equal(upsample_nearest(jnp.asarray(x), 2), expected)


def test_bilinear_weights_by_hand():
    # Triangles of half-width 2 and 4 sampled at half-integer distances.
    np.testing.assert_allclose(bilinear_downsampling_weights(2), np.array([1, 3, 3, 1]) / 8)
    expected = np.array([1, 3, 5, 7, 7, 5, 3, 1]) / 32
    np.testing.assert_allclose(bilinear_downsampling_weights(4), expected)


@pytest.mark.parametrize("scale", [2, 4])
def test_downsample_equals_jax_antialiased_linear_away_from_the_border(scale):
    x = jnp.asarray(np.random.default_rng(2).random((1, 32, 40, 3), np.float32))
    theirs = jax.image.resize(x, (1, 32 // scale, 40 // scale, 3), "linear", antialias=True)
    ours = downsample_bilinear(x, scale)
    np.testing.assert_allclose(ours[:, 1:-1, 1:-1], theirs[:, 1:-1, 1:-1], atol=1e-6)


def test_downsample_keeps_the_mean_and_undoes_nearest_on_constant_blocks():
    constant = jnp.full((1, 8, 8, 3), 0.3)
    np.testing.assert_allclose(downsample_bilinear(constant, 4), 0.3, atol=1e-7)


def test_downsample_refuses_sizes_it_cannot_halve():
    with pytest.raises(ValueError, match="size 7 along axis 1 is not a multiple of scale 2"):
        downsample_bilinear(jnp.zeros((1, 7, 8, 3)), 2)
    with pytest.raises(ValueError, match="even factor"):
        downsample_bilinear(jnp.zeros((1, 9, 9, 3)), 3)


@pytest.mark.parametrize("scale", [2, 4])
def test_downsample_bicubic_equals_jax_away_from_the_border(scale):
    x = jnp.asarray(np.random.default_rng(4).random((1, 8 * scale, 9 * scale, 2), np.float32))
    theirs = jax.image.resize(x, (1, 8, 9, 2), "cubic", antialias=True)
    ours = downsample_bicubic(x, scale)
    np.testing.assert_allclose(ours[:, 2:-2, 2:-2], theirs[:, 2:-2, 2:-2], atol=1e-6)


def test_downsample_bicubic_mirrors_the_border():
    x = jnp.asarray(np.random.default_rng(5).random((1, 16, 16, 1), np.float32))
    mirrored = jnp.pad(x, ((0, 0), (8, 8), (8, 8), (0, 0)), mode="symmetric")
    inside = downsample_bicubic(mirrored, 4)[:, 2:-2, 2:-2]
    np.testing.assert_allclose(downsample_bicubic(x, 4), inside, atol=1e-6)


def test_downsample_gaussian_equals_scipy():
    x = np.random.default_rng(6).random((24, 32))
    at = np.arange(12) - 5.5
    kernel = np.exp(-(at**2) / (2 * 1.6**2))
    kernel /= kernel.sum()
    # Of 12 taps scipy's centre is the seventh; half a pixel before it lies the cell's centre.
    blurred = scipy.ndimage.correlate1d(x, kernel, axis=0, mode="nearest")
    blurred = scipy.ndimage.correlate1d(blurred, kernel, axis=1, mode="nearest")
    ours = downsample_gaussian(jnp.asarray(x, jnp.float32)[None, ..., None], 4)
    np.testing.assert_allclose(ours[0, ..., 0], blurred[2::4, 2::4], atol=1e-6)
    assert ours.shape == (1, 6, 8, 1)


def test_downsampling_refuses_other_sizes():
    for downsample in (downsample_bicubic, downsample_gaussian):
        with pytest.raises(ValueError, match="size 10 along axis 1 is not a multiple of scale 4"):
            downsample(jnp.zeros((1, 10, 8, 3)), 4)
