import cv2
import numpy as np
import pytest
from metric_samples import clip

from supervegan_jax.metrics.lpips import lpips
from supervegan_jax.metrics.temporal import flicker, tlp, tof
from supervegan_jax.pretrained.packaged_weights import load_lpips_params

# The tOF of TecoGAN's metrics.py, with opencv-python-headless 4.12 and 5.0 alike.
OFFICIAL_TOF = (0.63403744, 0.44934765, 0.61704314)


@pytest.fixture(scope="module")
def clips():
    return clip("carphone_distorted.mp4", 4), clip("carphone_pristine.mp4", 4)


def test_tof_equals_the_official_values(clips):
    got = tof(*clips)
    assert got.shape == (3,) and got.dtype == np.float32
    np.testing.assert_allclose(got, OFFICIAL_TOF, atol=1e-5)
    unit = [frames.astype(np.float32) / 255 for frames in clips]
    np.testing.assert_array_equal(tof(*unit), got)
    np.testing.assert_array_equal(tof(clips[1], clips[1]), np.zeros(3))


def test_tof_is_the_difference_of_motion():
    """One clip slides by two pixels a frame, the other stands: the length of (2, 0)."""
    rng = np.random.default_rng(0)
    field = cv2.GaussianBlur(rng.random((128, 160)).astype(np.float32), (0, 0), 4)
    field = np.round((field - field.min()) / np.ptp(field) * 255).astype(np.uint8)
    moving = np.stack([np.roll(field, (0, 2 * t), (0, 1)) for t in range(2)])
    still = np.stack([field, field])
    got = tof(moving[..., None].repeat(3, -1), still[..., None].repeat(3, -1))
    np.testing.assert_allclose(got, [2.0], atol=0.1)


def test_tlp_is_the_difference_of_steps(clips):
    """On the 96x128 pixels that TecoGAN's crop_8x8 leaves of 144x176."""
    params = load_lpips_params()
    steps = []
    for frames in clips:
        middle = frames[:, 8:136, 8:168].astype(np.float32) / 255
        steps.append(np.asarray(lpips(params, middle[:-1], middle[1:])))
    np.testing.assert_allclose(tlp(params, *clips), np.abs(steps[0] - steps[1]), atol=1e-6)
    np.testing.assert_array_equal(tlp(params, clips[0], clips[0]), np.zeros(3))


def test_flicker_by_hand():
    reference = np.full((3, 4, 5, 3), 100, np.uint8)
    reference[1:, 0] = 150  # the first row moves at the first step
    estimate = reference.copy()
    estimate[1, 1:] += 6
    estimate[1, 0] = 0  # not counted
    estimate[2] = 150
    expected = [6.0, (150.0 * 5 + 44.0 * 15) / 20]
    np.testing.assert_allclose(flicker(estimate, reference), expected, rtol=1e-6)
    np.testing.assert_array_equal(flicker(reference, reference), [0, 0])
    reference[1] += 2
    got = flicker(reference, reference)
    assert np.isnan(got[0])
    assert flicker(reference, reference, static_within=2)[0] == pytest.approx(2.0)


@pytest.mark.parametrize("function", [tof, flicker, lambda x, y: tlp({}, x, y)])
def test_errors_of_all(function):
    x = np.zeros((2, 64, 64, 3), np.uint8)
    with pytest.raises(ValueError, match=r"of clips of shapes .* not equal"):
        function(x, x[:, :60])
    with pytest.raises(ValueError, match="of 1 frames; accepted: at least 2"):
        function(x[:1], x[:1])
    with pytest.raises(ValueError, match=r"accepted: \[n, h, w, 3\]"):
        function(x[0], x[0])
    with pytest.raises(ValueError, match=r"frames in \[nan, nan\]; accepted: \[0, 1\]"):
        function(np.full(x.shape, np.nan, np.float32), x)
    with pytest.raises(ValueError, match=r"frames in \[0, 2\]; accepted"):
        function(np.concatenate([x, x + 2])[[0, 3]].astype(np.float32), x)
    with pytest.raises(ValueError, match="of frames of int32; accepted: uint8, float"):
        function(x.astype(np.int32), x)


def test_errors_of_size():
    x = np.zeros((2, 64, 47, 3), np.uint8)
    with pytest.raises(ValueError, match="tof of 47x64 frames; accepted: sides of at least 48"):
        tof(x, x)
    with pytest.raises(ValueError, match="tlp of 47x64 frames"):
        tlp({}, x, x)
    with pytest.raises(ValueError, match="flicker static_within 256; accepted: 0 to 255"):
        flicker(x, x, static_within=256)
