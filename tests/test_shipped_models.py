"""Every shipped network, through the command, on film: better than plain enlargement."""

import jax.numpy as jnp
import numpy as np
import pytest

from data_prep.clips import embedded_clip
from supervegan_jax import enhance
from supervegan_jax.metrics.lpips import lpips
from supervegan_jax.metrics.psnr import psnr
from supervegan_jax.ops.color import to_float, to_uint8
from supervegan_jax.ops.resize import upsample_bicubic
from supervegan_jax.pretrained.packaged_weights import load_lpips_params
from supervegan_jax.video.encoder import encode_at_bitrate
from supervegan_jax.video.reader import read_clip
from supervegan_jax.weights import list_models

FIRST, COUNT = 38, 8
SCORED = (2, 6)


def _marks(name: str) -> list[pytest.MarkDecorator]:
    """The networks made for a GPU take a CPU a second a frame, the other at 2x half of one."""
    return [] if name == "supervegan4_small" else [pytest.mark.slow]


@pytest.mark.parametrize("name", [pytest.param(n, marks=_marks(n)) for n in list_models()])
def test_enhanced_film_is_better_than_enlarged(name, tmp_path):
    scale = list_models()[name]["generator"]["scale"]
    small, output = tmp_path / "small.mp4", tmp_path / "out.mp4"
    size = 1280 // scale, 720 // scale
    encode_at_bitrate(embedded_clip(), small, codec="h264", bitrate_kbps=250, size=size)
    times = ["-ss", str(FIRST / 25), "-t", str(COUNT / 25)]
    enhance.main([str(small), str(output), "--model", name, *times])
    truth = read_clip(embedded_clip(), FIRST, COUNT)
    decoded = read_clip(small, FIRST, COUNT)
    enhanced = read_clip(output)
    assert len(enhanced) == COUNT
    for frame in SCORED:
        enlarged = to_uint8(upsample_bicubic(to_float(jnp.asarray(decoded[frame][None])), scale))
        pictures = [np.asarray(enlarged)[0], enhanced[frame], truth[frame]]
        x, y, reference = (to_float(jnp.asarray(picture[None])) for picture in pictures)
        assert float(psnr(y, reference)[0]) > float(psnr(x, reference)[0])
        params = load_lpips_params("alexnet")
        distances = [float(lpips(params, image, reference)[0]) for image in (x, y)]
        assert distances[1] < 0.9 * distances[0]
        # No tint: each channel's mean stays where the input had it.
        shift = np.asarray(y - x).mean(axis=(0, 1, 2)) * 255
        assert np.abs(shift).max() < 1
