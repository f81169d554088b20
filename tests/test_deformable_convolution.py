from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from supervegan_jax.ops.counting import count_macs
from supervegan_jax.ops.deformable_convolution import deformable_convolution, sample_bilinear

# (image, row, column, feature) of `torchvision.ops.deform_conv2d` 0.28 for `sample(3)`.
TORCHVISION = {
    (0, 0, 0, 0): -0.155215,
    (0, 2, 3, 1): -0.320226,
    (0, 4, 5, 2): -0.266566,
    (1, 1, 0, 2): -0.519758,
    (1, 4, 2, 0): -0.211084,
}


def sample(
    seed: int, groups: int = 2, sides: tuple[int, int] = (3, 3), spread: float = 1.5
) -> tuple[np.ndarray, ...]:
    """Images, offsets, masks and a kernel of 4 channels and 3 features."""
    rng = np.random.default_rng(seed)
    taps = sides[0] * sides[1]
    x = rng.standard_normal((2, 5, 6, 4)).astype(np.float32)
    offsets = (spread * rng.standard_normal((2, 5, 6, groups, taps, 2))).astype(np.float32)
    masks = rng.random((2, 5, 6, groups, taps), np.float32)
    kernel = (rng.standard_normal((*sides, 4, 3)) / 6).astype(np.float32)
    return x, offsets, masks, kernel


def pixel(x: np.ndarray, row: float, column: float) -> float:
    """One channel [h, w] between its pixels, zeros beyond the border."""
    value = 0.0
    for j in (int(np.floor(row)), int(np.floor(row)) + 1):
        for i in (int(np.floor(column)), int(np.floor(column)) + 1):
            if 0 <= j < x.shape[0] and 0 <= i < x.shape[1]:
                value += (1 - abs(row - j)) * (1 - abs(column - i)) * x[j, i]
    return value


def by_loops(
    x: np.ndarray, offsets: np.ndarray, masks: np.ndarray, kernel: np.ndarray
) -> np.ndarray:
    """Eq. 1 of Deformable ConvNets v2, number by number, in float64."""
    b, h, w, c = x.shape
    kh, kw, _, features = kernel.shape
    size = c // masks.shape[3]
    y = np.zeros((b, h, w, features))
    for n, row, column, channel, tap in np.ndindex(b, h, w, c, kh * kw):
        group = channel // size
        down, right = offsets[n, row, column, group, tap]
        j, i = row + tap // kw - kh // 2 + down, column + tap % kw - kw // 2 + right
        value = masks[n, row, column, group, tap] * pixel(x[n, :, :, channel], j, i)
        y[n, row, column] += value * kernel[tap // kw, tap % kw, channel]
    return y


def plain_convolution(x: np.ndarray, kernel: np.ndarray) -> jax.Array:
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@pytest.mark.parametrize(
    ("groups", "sides", "spread"), [(1, (3, 3), 1.0), (2, (3, 3), 4.0), (4, (1, 3), 2.0)]
)
def test_equals_loops(groups: int, sides: tuple[int, int], spread: float) -> None:
    arrays = sample(0, groups, sides, spread)
    wanted = by_loops(*(array.astype(np.float64) for array in arrays))
    assert wanted.std() > 0.1
    np.testing.assert_allclose(jax.jit(deformable_convolution)(*arrays), wanted, atol=1e-6)


def test_equals_torchvision() -> None:
    y = deformable_convolution(*(jnp.asarray(array) for array in sample(3)))
    found = [y[place] for place in TORCHVISION]
    np.testing.assert_allclose(found, list(TORCHVISION.values()), atol=2e-6)


@pytest.mark.parametrize("spread", [1.5, 4.0])
def test_values_and_gradients_equal_pytorch(spread: float) -> None:
    torch = pytest.importorskip("torch")
    from torch_edvr import deform_conv

    x, offsets, masks, kernel = sample(1, spread=spread)

    def channels_first(array: np.ndarray) -> Any:
        flat = array.reshape(*array.shape[:3], -1).transpose(0, 3, 1, 2)
        return torch.from_numpy(np.ascontiguousarray(flat)).requires_grad_()

    inputs = [channels_first(array) for array in (x, offsets, masks)]
    weight = torch.from_numpy(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))).requires_grad_()
    wanted = deform_conv(*inputs, weight)
    gradients = torch.autograd.grad((wanted**2).sum(), [*inputs, weight])

    ours, pull = jax.vjp(deformable_convolution, x, offsets, masks, kernel)
    np.testing.assert_allclose(ours, wanted.detach().permute(0, 2, 3, 1), atol=1e-6)
    found = pull(2 * ours)
    for mine, theirs in zip(found[:3], gradients[:3], strict=True):
        theirs = theirs.permute(0, 2, 3, 1).reshape(mine.shape)
        np.testing.assert_allclose(mine, theirs, atol=1e-5)
    np.testing.assert_allclose(found[3], gradients[3].permute(2, 3, 1, 0), atol=1e-5)


@pytest.mark.parametrize("argument", range(4), ids=("x", "offsets", "masks", "kernel"))
def test_gradients_equal_finite_differences(argument: int) -> None:
    arrays = list(sample(2, spread=2.0))
    # Places between pixels: on a pixel the derivative jumps.
    whole = np.floor(arrays[1])
    arrays[1] = whole + np.clip(arrays[1] - whole, 0.1, 0.9)
    rng = np.random.default_rng(9)
    outputs = rng.standard_normal((2, 5, 6, 3))
    direction = rng.standard_normal(arrays[argument].shape)

    def moved(step: float) -> float:
        exact = [array.astype(np.float64) for array in arrays]
        exact[argument] = exact[argument] + step * direction
        return float(np.sum(outputs * by_loops(*exact)))

    _, pull = jax.vjp(deformable_convolution, *arrays)
    found = np.sum(np.asarray(pull(outputs.astype(np.float32))[argument], np.float64) * direction)
    wanted = (moved(1e-4) - moved(-1e-4)) / 2e-4
    assert abs(wanted) > 1
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_without_offsets_it_is_a_convolution() -> None:
    x, offsets, masks, kernel = sample(4)
    ours = deformable_convolution(x, np.zeros_like(offsets), np.ones_like(masks), kernel)
    np.testing.assert_allclose(ours, plain_convolution(x, kernel), atol=1e-6)


def test_whole_offsets_shift_each_group() -> None:
    x, offsets, masks, kernel = sample(4)
    offsets[:, :, :, 0] = (1, -2)
    offsets[:, :, :, 1] = (0, 3)
    shifted = np.pad(x, ((0, 0), (4, 4), (4, 4), (0, 0)))
    # One more pixel on each side, for the taps.
    first, second = shifted[:, 4:11, 1:9, :2], shifted[:, 3:10, 6:14, 2:]
    pieces = np.concatenate([first, second], axis=-1)
    wanted = plain_convolution(pieces, kernel)[:, 1:-1, 1:-1]
    ours = deformable_convolution(x, offsets, np.ones_like(masks), kernel)
    np.testing.assert_allclose(ours, wanted, atol=1e-6)


def test_beyond_the_border_are_zeros() -> None:
    x = np.full((1, 2, 3, 2), 8, np.float32)
    rows = np.array([-1, -0.5, 0, 0.25, 1.25, 1.999, 2, 1e9, -1e30], np.float32)
    rows = rows.reshape(1, 9, 1, 1)
    values = sample_bilinear(x, rows, np.ones_like(rows))
    wanted = np.array([0, 4, 8, 8, 6, 0.008, 0, 0, 0])
    np.testing.assert_allclose(values[0, :, 0, 0], wanted, atol=1e-5)
    slopes = jax.grad(lambda r: jnp.sum(sample_bilinear(x, r, np.ones_like(rows))))(rows)
    np.testing.assert_allclose(slopes[0, [1, 3, 4, 7, 8], 0, 0], [16, 0, -16, 0, 0])


def test_counts_as_a_convolution() -> None:
    x, offsets, masks, kernel = sample(0)
    convolution: Callable[..., Any] = plain_convolution
    wanted = count_macs(convolution, x, kernel)
    assert count_macs(deformable_convolution, x, offsets, masks, kernel) == wanted


def test_bfloat16_features() -> None:
    x, offsets, masks, kernel = sample(0)
    rough = deformable_convolution(
        jnp.asarray(x, jnp.bfloat16), offsets, masks, jnp.asarray(kernel, jnp.bfloat16)
    )
    assert rough.dtype == jnp.bfloat16
    exact = deformable_convolution(x, offsets, masks, kernel)
    np.testing.assert_allclose(rough.astype(jnp.float32), exact, atol=0.03)


def test_what_does_not_fit_is_refused() -> None:
    x, offsets, masks, kernel = sample(0)
    with pytest.raises(ValueError, match=r"kernel of shape \(2, 3, 4, 3\); \[odd, odd, 4, feat"):
        deformable_convolution(x, offsets, masks, kernel[:2])
    with pytest.raises(ValueError, match=r"kernel of shape \(3, 3, 3, 3\); \[odd, odd, 4, feat"):
        deformable_convolution(x, offsets, masks, kernel[:, :, :3])
    for wrong in (offsets[:, :4], offsets[..., :1], offsets[:, :, :, :, :8]):
        with pytest.raises(ValueError, match=r"offsets of shape .* \[2, 5, 6, groups, 9, 2\] and"):
            deformable_convolution(x, wrong, masks, kernel)
    with pytest.raises(ValueError, match="4 channels do not form 3 groups of the same size"):
        deformable_convolution(*sample(0, groups=3))
