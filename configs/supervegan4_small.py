r"""A SUPERVEGAN-4 for two CPU cores: 0.38 M parameters, nothing above the input's grid.

python -m supervegan_jax.main --config configs/supervegan4_small.py \
    --config.data.records=RECORDS --workdir runs/supervegan4_small

The shipped weights took the route in docs/training.md: 1.2 hours on 2 shared CPU cores; their
scores are in the README. This recipe has not been run in one piece.
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    """Layers wide enough for a CPU's vector units, small patches, a small VGG slice."""
    c = base.get_config()
    c.model.input_taps = 1
    c.model.input_width = 16
    c.model.temporal_widths = (24, 32)
    c.model.width = 32
    c.model.trunk_blocks = 3
    c.model.filter_blocks = 0
    c.model.filter_kernel = 1
    c.model.residual_blocks = 0
    c.model.detail_width = 32
    c.model.detail_grid = 1
    c.model.outer_blocks = 0
    c.model.inner_width = 64
    c.model.inner_blocks = 2
    c.discriminator.width = 16
    c.discriminator.crop_size = 96
    c.perceptual.layers = ("relu2_2",)
    c.perceptual.crop_size = 64
    c.phases = base.three_phases((2_500, 200, 2_800), adversarial=1e-4, perceptual=1e-2)
    c.optimizer.schedule = "cosine"
    c.optimizer.learning_rate = 1e-3
    c.optimizer.warmup_steps = 100
    c.data.batch_size = 16
    c.data.patch_size = 48
    c.data.threads = 1
    c.prepare.bitrates_kbps = (120, 250, 500, 1000)
    c.evaluate_every = 0
    c.checkpoint_every = 250
    c.evaluation_frames = 1
    return c
