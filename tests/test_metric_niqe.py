import inspect

import jax
import jax.numpy as jnp
import pytest
from metric_samples import textured, unit

from supervegan_jax.metrics import niqe as module
from supervegan_jax.metrics.niqe import niqe

# BasicSR 1.4.2's calculate_niqe(bgr, crop_border=0), a port that its authors checked against MATLAB
# R2021a, with PyTorch 2.13 and SciPy 1.17.
BASICSR = {
    "first": 5.0312009,
    "first blocky": 7.2754418,
    "second": 8.1523843,
    "third": 5.6183994,
    "third blurred": 7.3681671,
}
# The same code with float64 images and a float64 imresize, as in MATLAB.
DOUBLE = {"second": 8.1523780, "third blurred": 7.3681920}


@pytest.fixture(scope="module")
def pictures():
    return textured()


@pytest.mark.parametrize("name", list(BASICSR))
def test_equals_the_official_port(pictures, name):
    value = niqe(unit(pictures[name]))
    assert value.shape == (1,) and value.dtype == jnp.float32
    assert float(value[0]) == pytest.approx(BASICSR[name], abs=2e-5)


@pytest.mark.parametrize("name", list(DOUBLE))
def test_double_precision(pictures, name, monkeypatch):
    # Compiled as for users: in what is blurred NIQE measures the rounding of its own arithmetic.
    compiled = jax.jit(
        inspect.unwrap(module._features),
        static_argnames=("channel", "single"),
        compiler_options={"xla_backend_optimization_level": 3},
    )
    monkeypatch.setattr(module, "_features", compiled)
    value = niqe(unit(pictures[name]), arithmetic="double")
    assert float(value[0]) == pytest.approx(DOUBLE[name], abs=2e-6)


def test_batch_border_and_unused_rest(pictures):
    image = unit(pictures["second"])
    alone = BASICSR["second"]
    # 357x231 has room for 3x2 blocks; the rest is not used.
    darker = jnp.concatenate([image * 0.5, image.at[:, 192:].set(0.0).at[:, :, 288:].set(1.0)])
    assert float(niqe(darker)[1]) == pytest.approx(alone, abs=2e-5)
    inner = float(niqe(image[:, 4:-4, 4:-4])[0])
    assert float(niqe(image, crop_border=4)[0]) == pytest.approx(inner, abs=1e-6)
    assert inner != pytest.approx(alone, abs=1e-3)


def test_gray_is_rgb2gray(pictures):
    """Pictures without colour have the gray of their codes, not video levels."""
    gray = pictures["third"][..., 1:2].repeat(3, axis=2)
    value = float(niqe(unit(gray), channel="gray")[0])
    assert value != pytest.approx(float(niqe(unit(gray))[0]), abs=1e-3)


def test_flat_blocks_are_left_out(pictures):
    """A block of one colour has no statistics; NaN never comes out."""
    image = unit(pictures["first"]).at[:, :96, :96].set(0.25)
    for arithmetic in ("single", "double"):
        assert 2 < float(niqe(image, arithmetic=arithmetic)[0]) < 30


def test_errors():
    x = jnp.zeros((1, 231, 357, 3))
    with pytest.raises(
        ValueError, match="niqe of an image with 0 blocks of 96x96 that are not of on"
    ):
        niqe(x + 0.5)
    with pytest.raises(ValueError, match="niqe of 190x150 pixels; accepted: room for two blocks"):
        niqe(x[:, :150, :190])
    with pytest.raises(
        ValueError, match="niqe with crop_border 0 of images of 357x90; accepted: sid"
    ):
        niqe(x[:, :90])
    with pytest.raises(ValueError, match="niqe of images of uint8; accepted: float"):
        niqe(x.astype(jnp.uint8))
    with pytest.raises(ValueError, match="niqe of images with NaN"):
        niqe(x + jnp.nan)
    with pytest.raises(ValueError, match="niqe of 1 channels; accepted: 3"):
        niqe(x[..., :1])
    with pytest.raises(ValueError, match="niqe of channel 'cb'; accepted: y, gray"):
        niqe(x, channel="cb")
    with pytest.raises(ValueError, match="niqe arithmetic 'half'; accepted: single, double"):
        niqe(x, arithmetic="half")
