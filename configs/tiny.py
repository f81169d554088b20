r"""The smallest run that has every part, for tests.

python -m supervegan_jax.main --config configs/tiny.py \
    --config.data.videos=CLIP.mp4 --workdir runs/tiny
"""

from ml_collections import ConfigDict

from configs import base
from supervegan_jax.models.supervegan import uniform_widths


def get_config() -> ConfigDict:
    """Eight features a layer and a few steps a phase."""
    c = base.get_config()
    c.model.update(uniform_widths(8))
    c.model.trunk_blocks = 1
    c.model.filter_blocks = 1
    c.model.residual_blocks = 1
    c.model.inner_blocks = 1
    c.discriminator.width = 4
    c.perceptual.layers = ("relu1_1",)
    c.perceptual.crop_size = 16
    c.phases = base.three_phases((4, 4, 4))
    c.data.batch_size = 4
    c.data.patch_size = 16
    c.data.shuffle_buffer = 64
    c.prepare.patches = 64
    c.log_every = 1
    c.evaluate_every = 0
    c.checkpoint_every = 2
    c.evaluation_frames = 2
    return c
