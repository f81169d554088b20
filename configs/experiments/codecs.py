r"""The shipped networks on video of five codecs (Fig. 11 and beyond); nothing is trained.

python -m supervegan_jax.experiment --config configs/experiments/codecs.py \
    --clips CLIPS.. --workdir runs/codecs
"""

from ml_collections import ConfigDict

from configs.experiments import base


def get_config() -> ConfigDict:
    """All networks, every codec, the same target bitrates."""
    c = base.get_config()
    c.models = ("fast_supervegan4", "fast_supervegan2", "supervegan4_small", "supervegan2_small")
    c.codecs = ("h264", "h265", "vp8", "vp9", "av1")
    c.input_kbps = (250, 500)
    c.reference_kbps = (100, 150, 250, 500, 1000)
    c.max_frames = 128
    c.frame_step = 32
    return c
