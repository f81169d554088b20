import jax
import jax.numpy as jnp
import numpy as np
import pytest

from supervegan_jax.ops.corner_resize import upsample_bicubic_corner, upsample_bilinear_corner
from supervegan_jax.ops.warp import backward_warp


def warp_by_loops(image, flow, border):
    """Pixel by pixel: the four neighbours of where the flow points."""
    image, flow = np.asarray(image, np.float64), np.asarray(flow, np.float64)
    b, h, w, _ = image.shape
    output = np.zeros_like(image)
    for n in range(b):
        for i in range(h):
            for j in range(w):
                x, y = j + flow[n, i, j, 0], i + flow[n, i, j, 1]
                if border == "edge":
                    x, y = min(max(x, 0), w - 1), min(max(y, 0), h - 1)
                x0, y0 = int(np.floor(x)), int(np.floor(y))
                if border == "zero" and not (0 <= x0 < w - 1 and 0 <= y0 < h - 1):
                    continue
                for row, row_share in ((y0, 1 - (y - y0)), (y0 + 1, y - y0)):
                    for column, column_share in ((x0, 1 - (x - x0)), (x0 + 1, x - x0)):
                        if row_share and column_share:
                            output[n, i, j] += row_share * column_share * image[n, row, column]
    return output


@pytest.fixture(scope="module")
def example():
    rng = np.random.default_rng(0)
    image = rng.random((2, 6, 9, 3), np.float32)
    # Away from whole positions, where the derivative jumps; a third of them leads outside.
    flow = rng.integers(-5, 5, (2, 6, 9, 2)) + rng.uniform(0.1, 0.9, (2, 6, 9, 2))
    return image, flow.astype(np.float32)


@pytest.mark.parametrize("border", ["edge", "zero"])
def test_warp_equals_the_loop(example, border):
    image, flow = example
    warped = jax.jit(backward_warp, static_argnums=2)(*example, border)
    np.testing.assert_allclose(warped, warp_by_loops(image, flow, border), atol=1e-6)


@pytest.mark.parametrize("border", ["edge", "zero"])
def test_whole_pixels_are_moved_unchanged(border):
    image = np.random.default_rng(1).random((1, 6, 8, 2), np.float32)
    flow = np.broadcast_to(np.float32([2, -1]), (1, 6, 8, 2))
    warped = np.asarray(backward_warp(jnp.asarray(image), jnp.asarray(flow), border))
    np.testing.assert_array_equal(warped[:, 1:-1, :5], image[:, :-2, 2:7])
    if border == "edge":
        np.testing.assert_array_equal(warped[:, 1:, 6:], image[:, :-1, 7:].repeat(2, axis=2))
        np.testing.assert_array_equal(warped[:, 0], warped[:, 1])
    else:
        assert not warped[:, 0].any() and not warped[:, :, 5:].any()


def test_no_motion_keeps_the_image_but_for_the_last_row_and_column_of_zero():
    image = jnp.asarray(np.random.default_rng(2).random((1, 4, 5, 1), np.float32))
    still = jnp.zeros((1, 4, 5, 2))
    np.testing.assert_array_equal(backward_warp(image, still), image)
    expected = image.at[:, -1].set(0).at[:, :, -1].set(0)
    np.testing.assert_array_equal(backward_warp(image, still, "zero"), expected)


def test_a_single_pixel_and_a_flow_to_nowhere():
    image = jnp.full((1, 1, 1, 2), 0.5)
    far = jnp.full((1, 1, 1, 2), 1e9)
    np.testing.assert_array_equal(backward_warp(image, far), image)
    np.testing.assert_array_equal(backward_warp(image, far, "zero"), jnp.zeros_like(image))


@pytest.mark.parametrize("border", ["edge", "zero"])
def test_gradients_equal_differences_of_the_loop(example, border):
    image, flow = example
    weights = np.random.default_rng(3).normal(size=image.shape)

    def loss(image, flow):
        return jnp.sum(backward_warp(image, flow, border) * jnp.asarray(weights, jnp.float32))

    of_image, of_flow = jax.jit(jax.grad(loss, argnums=(0, 1)))(image, flow)
    rng, step = np.random.default_rng(4), 1e-4
    for gradient, argument in ((of_image, 0), (of_flow, 1)):
        for _ in range(12):
            place = tuple(rng.integers(0, n) for n in gradient.shape)
            sums = []
            for sign in (1, -1):
                moved = [image.astype(np.float64), flow.astype(np.float64)]
                moved[argument][place] += sign * step
                sums.append(np.sum(warp_by_loops(*moved, border) * weights))
            difference = (sums[0] - sums[1]) / (2 * step)
            np.testing.assert_allclose(gradient[place], difference, atol=1e-4)
    assert (np.abs(of_flow) > 1e-3).mean() > 0.2


def resize_by_loops(x, scale, kernel):
    _, h, w, _ = x.shape
    output = np.zeros((x.shape[0], scale * h, scale * w, x.shape[3]))
    for i in range(scale * h):
        for j in range(scale * w):
            for row in range(i // scale - 1, i // scale + 3):
                for column in range(j // scale - 1, j // scale + 3):
                    weight = kernel(abs(i / scale - row)) * kernel(abs(j / scale - column))
                    pixel = x[:, np.clip(row, 0, h - 1), np.clip(column, 0, w - 1)]
                    output[:, i, j] += weight * pixel
    return output


def cubic(d):
    """Keys 1981 for a = -3/4, multiplied out."""
    if d < 1:
        return 1.25 * d**3 - 2.25 * d**2 + 1
    return -0.75 * d**3 + 3.75 * d**2 - 6 * d + 3 if d < 2 else 0.0


@pytest.mark.parametrize("scale", [2, 4])
def test_corner_resizing_equals_the_loop(scale):
    x = np.random.default_rng(5).random((1, 3, 5, 2), np.float32)
    linear = resize_by_loops(x, scale, lambda d: max(0.0, 1 - d))
    np.testing.assert_allclose(upsample_bilinear_corner(jnp.asarray(x), scale), linear, atol=1e-6)
    bicubic = upsample_bicubic_corner(jnp.asarray(x), scale)
    np.testing.assert_allclose(bicubic, resize_by_loops(x, scale, cubic), atol=1e-6)
    np.testing.assert_allclose(bicubic[:, ::scale, ::scale], x, atol=1e-6)


def test_wrong_arguments_are_refused():
    image = jnp.zeros((1, 4, 5, 3))
    with pytest.raises(ValueError, match=r"flow of shape \(1, 5, 4, 2\) for an image of shape"):
        backward_warp(image, jnp.zeros((1, 5, 4, 2)))
    with pytest.raises(ValueError, match="border 'wrap'; accepted: edge, zero"):
        backward_warp(image, jnp.zeros((1, 4, 5, 2)), "wrap")
