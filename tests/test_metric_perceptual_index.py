import jax.numpy as jnp
import numpy as np
import pytest
import scipy.io
from metric_samples import clip, textured, unit

from supervegan_jax.metrics.luma import rounded_luma_codes
from supervegan_jax.metrics.ma_features import ma_features
from supervegan_jax.metrics.ma_score import load_ma_model
from supervegan_jax.metrics.matlab_resize import enlarge_bicubic
from supervegan_jax.metrics.niqe import niqe
from supervegan_jax.metrics.perceptual_index import ma_score, perceptual_index
from supervegan_jax.metrics.steerable_pyramid import steerable_pyramid

FEATURES = (18, 45, 75)
# pyiqa 0.1.16 (nrqm_arch.py, in float64), an independent port of Ma's code, on "first" of
# `textured`: those features in which it does not leave the authors' code. It pads to multiples of 3
# on both sides, which this size does not need at the first scale; it takes one block more into the
# lowest tenth and one fewer into the highest; and it gives a parent to the first scale's last band.
PYIQA_LOCAL = {1: 0.5319859, 3: 1.8427763, 5: 0.2185089}
PYIQA_GLOBAL = {
    6: 1.675,
    7: 1.8019999,
    8: 1.8479999,
    9: 1.59,
    10: 1.622,
    11: 1.7309999,
    18: 0.9501425,
    19: 0.951432,
    20: 0.959629,
    21: 0.9603562,
    22: 0.9579321,
    23: 0.9554744,
    24: 0.7230295,
    25: 0.7106571,
    26: 0.7451282,
    27: 0.77357,
    28: 0.7725291,
    29: 0.757674,
}
PYIQA_SINGULAR = {
    0: 69.238133,
    1: 7.775503,
    24: 0.176591,
    25: 34.116959,
    26: 5.012964,
    49: 0.17545,
    50: 16.507821,
    51: 3.153292,
    74: 0.168992,
}


@pytest.fixture(scope="module")
def codes():
    return np.asarray(rounded_luma_codes(unit(textured()["first"])), np.float64)[0, ..., 0]


@pytest.fixture(scope="module")
def features(codes):
    return ma_features(codes)


def test_features_equal_an_independent_port(features):
    local, global_, spatial = features
    assert tuple(len(f) for f in features) == FEATURES
    for found, expected in (
        (local, PYIQA_LOCAL),
        (global_, PYIQA_GLOBAL),
        (spatial, PYIQA_SINGULAR),
    ):
        for index, value in expected.items():
            assert found[index] == pytest.approx(value, rel=1e-4), index


def test_the_pyramid_splits_without_loss():
    """High-pass, oriented and low bands carry all the energy (a tight frame at full size)."""
    image = np.random.default_rng(0).normal(size=(64, 80))
    residual, bands = steerable_pyramid(image, 1, 6)
    assert [band.shape for band in bands[0]] == [(64, 80)] * 6
    spectrum = np.fft.fftshift(np.abs(np.fft.fft2(image)) ** 2)
    y, x = np.meshgrid((np.arange(64) - 32) / 32, (np.arange(80) - 40) / 40, indexing="ij")
    # Below half of Nyquist's frequency the low-pass takes a part; above, nothing is left to it.
    high = np.hypot(x, y) >= 0.5
    parts = [np.fft.fftshift(np.abs(np.fft.fft2(band)) ** 2) for band in (residual, *bands[0])]
    ratio = sum(parts)[high].sum() / spectrum[high].sum()
    assert ratio == pytest.approx(1.0, abs=0.02)


def test_enlarging_keeps_constants_and_follows_keys():
    np.testing.assert_allclose(enlarge_bicubic(np.full((5, 7), 3.0), 11, 14), 3.0)
    ramp = np.arange(20.0)[None].repeat(6, 0)
    inner = enlarge_bicubic(ramp, 12, 40)[6, 8:-8]
    np.testing.assert_allclose(inner, (np.arange(40)[8:-8] + 0.5) / 2 - 0.5, atol=1e-12)
    with pytest.raises(ValueError, match="enlarging 7x5 to 7x4: that is smaller"):
        enlarge_bicubic(np.zeros((5, 7)), 4, 7)


def forest(feature, threshold, low, high, correction=()):
    """Two trees as randomforest-matlab writes them: a split in the first, a leaf in the second."""
    return {
        "lDau": np.array([[2, 0], [0, 0], [0, 0]], np.int32),
        "rDau": np.array([[3, 0], [0, 0], [0, 0]], np.int32),
        "nodestatus": np.array([[-3, -1], [-1, 0], [-1, 0]], np.int8),
        "upper": np.array([[threshold, 0.0], [0, 0], [0, 0]]),
        "avnode": np.array([[5.0, 4.0], [low, 0], [high, 0]]),
        "mbest": np.array([[feature + 1, 0], [0, 0], [0, 0]], np.int32),
        "coef": np.array(correction, float).reshape(1, -1),
    }


def write_model(path, features, *, above=False, correction=()):
    """A model that asks one feature of each kind whether it is above a threshold beside it."""
    rf = np.empty((3, 1), object)
    for kind, asked in enumerate((3, 40, 70)):
        side = -1e-6 if above else 0.0
        rf[kind, 0] = forest(asked, features[kind][asked] + side, 2.0 + kind, 8.0, correction)
    model = {"rf": rf, "linear": np.array([[0.5], [0.25], [0.5], [0.25]])}
    scipy.io.savemat(path, {"model": model})
    return path


def test_forests_by_hand(tmp_path, features):
    image = unit(textured()["first"])
    # At the threshold a value goes left: (2 + 4) / 2, (3 + 4) / 2, (4 + 4) / 2 from the trees.
    model = load_ma_model(write_model(tmp_path / "model.mat", features))
    left = 0.5 + 0.25 * 3.0 + 0.5 * 3.5 + 0.25 * 4.0
    assert float(ma_score(image, model)[0]) == pytest.approx(left)
    model = load_ma_model(write_model(tmp_path / "model.mat", features, above=True))
    assert float(ma_score(image, model)[0]) == pytest.approx(0.5 + 6.0)
    path = write_model(tmp_path / "model.mat", features, above=True, correction=(1.0, 0.5))
    assert float(ma_score(image, load_ma_model(path))[0]) == pytest.approx(0.5 + 4.0)


def test_perceptual_index(tmp_path, features):
    image = unit(textured()["first"])
    model = load_ma_model(write_model(tmp_path / "model.mat", features))
    expected = 0.5 * ((10 - float(ma_score(image, model)[0])) + float(niqe(image)[0]))
    value = perceptual_index(image, model)
    assert value.shape == (1,)
    assert float(value[0]) == pytest.approx(expected, abs=1e-5)


def test_errors(tmp_path, features):
    model = load_ma_model(write_model(tmp_path / "model.mat", features))
    with pytest.raises(ValueError, match=r"needs Ma's model: give the path of model\.mat"):
        load_ma_model(None)
    with pytest.raises(ValueError, match=r"no file .*none\.mat; needed is model\.mat of"):
        load_ma_model(tmp_path / "none.mat")
    (tmp_path / "text.mat").write_text("no model")
    with pytest.raises(ValueError, match=r"text\.mat is not Ma's model \(.*\); needed is"):
        load_ma_model(tmp_path / "text.mat")
    scipy.io.savemat(tmp_path / "other.mat", {"weights": np.zeros(3)})
    with pytest.raises(ValueError, match=r"other\.mat is not Ma's model"):
        load_ma_model(tmp_path / "other.mat")
    wrong = [np.zeros(n) for n in (60, 60, 80)]
    rf = np.empty((3, 1), object)
    for kind in range(3):
        rf[kind, 0] = forest(50, wrong[kind][50], 1.0, 2.0)
    path = tmp_path / "wrong.mat"
    scipy.io.savemat(path, {"model": {"rf": rf, "linear": np.zeros((4, 1))}})
    with pytest.raises(ValueError, match="a tree asks for feature 51 of 18"):
        load_ma_model(path)
    small = unit(clip("carphone_pristine.mp4", 1)[0])[:, :44]
    with pytest.raises(ValueError, match="ma with crop_border 0 of images of 176x44; accepted"):
        ma_score(small, model)
    with pytest.raises(ValueError, match="with flat surroundings"):
        ma_score(jnp.full((1, 64, 64, 3), 0.5), model)
    with pytest.raises(ValueError, match="ma of images with NaN"):
        ma_score(jnp.full((1, 64, 64, 3), jnp.nan), model)
    with pytest.raises(ValueError, match="ma of 1 channels; accepted: 3"):
        ma_score(jnp.zeros((1, 64, 64, 1)), model)
