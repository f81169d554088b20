r"""A SUPERVEGAN-4 for two CPU cores: 0.38 M parameters, nothing above the input's grid.

python -m supervegan_jax.main --config configs/supervegan4_small.py \
    --config.data.records=RECORDS --workdir runs/supervegan4_small

The shipped weights took the route in docs/training.md, which ends in an interpolation: 1.6 hours on
2 shared CPU cores; their scores are in the README. This recipe is that route made straight, and has
not been run in one piece.
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
    c.discriminator.input = "features"
    c.discriminator.loss = "relativistic"
    c.discriminator.crop_size = 64
    c.perceptual.layers = ("relu1_2", "relu2_2")
    c.perceptual.crop_size = 64
    c.phases = base.three_phases((2_500, 3_000, 2_300), adversarial=0.0, perceptual=1e-2)
    # The adversarial loss comes last, when there is little left to learn without it.
    weights = {"mse": 2.0, "adversarial": 4e-3, "perceptual": 1e-2, "flat": 100.0, "grid": 400.0}
    c.phases.full = base.phase(c.phases.full.steps, ("stage_b",), (1.0, 1.0), **weights)
    c.optimizer.schedule = "cosine"
    c.optimizer.learning_rate = 1e-3
    c.optimizer.discriminator_learning_rate = 4e-3  # 8e-4 in the last phase
    c.optimizer.warmup_steps = 100
    c.data.batch_size = 16
    c.data.patch_size = 48
    c.data.threads = 1
    c.prepare.bitrates_kbps = (120, 250, 500, 1000)
    c.evaluate_every = 0
    c.checkpoint_every = 250
    c.evaluation_frames = 1
    return c
