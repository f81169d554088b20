r"""A SUPERVEGAN-4 for two CPU cores: 0.38 M parameters, nothing above the input's grid.

python -m supervegan_jax.main --config configs/supervegan4_small.py \
    --config.data.records=RECORDS --workdir runs/supervegan4_small

The shipped weights took the route in docs/training.md, which ends in an interpolation: 4 hours on
2 CPU cores, minutes on a GPU; their scores are in the README. This recipe is that route made
straight, and has not been run in one piece.
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
    # The deepest layer sees 24 pixels, and the discriminator wins with it.
    c.perceptual.layers = ("relu1_2", "relu2_2", "relu3_1")
    c.perceptual.crop_size = 64
    # Stage A as it is seen, enlarged; the half of "mse_a" is softer.
    c.phases.stage_a = base.phase(9_500, ("stage_a",), (0.0, 0.0), mse_a_enlarged=1.0)
    # Stage B's losses do nothing for the trunk that stage A's own error had not done, and cost it.
    weights = {"mse": 1.0, "perceptual": 1e-2}
    c.phases.blend = base.phase(1_500, ("stage_b",), (0.0, 1.0), **weights)
    weights |= {"adversarial": 4e-2, "flat": 200.0, "grid": 400.0, "edge_grid": 1000.0}
    c.phases.full = base.phase(2_000, ("stage_b",), (1.0, 1.0), **weights)
    c.optimizer.schedule = "cosine"
    # At 2e-3 without a limit stage A of 2x diverged; 1e-1 is the adversarial phase's usual norm.
    c.optimizer.learning_rate = 8e-4
    c.optimizer.final_learning_rate = 1e-5
    c.optimizer.max_gradient_norm = 1e-1
    # What the network adds last is fine and hard to tell from the truth.
    c.optimizer.discriminator_learning_rate = 8e-3
    c.optimizer.warmup_steps = 200
    c.data.batch_size = 16
    c.data.patch_size = 48
    c.data.threads = 1
    c.prepare.bitrates_kbps = (120, 250, 500, 1000)
    c.prepare.codecs = ("h264", "h265", "vp9")
    c.evaluate_every = 0
    c.checkpoint_every = 250
    c.evaluation_frames = 1
    return c
