r"""A SUPERVEGAN-2 for two CPU cores, 640x360 to 1280x720: 0.79 M parameters.

python -m supervegan_jax.main --config configs/supervegan2_small.py \
    --config.data.records=RECORDS --workdir runs/supervegan2_small

The shipped weights took the route in docs/training.md, in 2.1 hours on 2 CPU cores; the README has
their scores. This recipe is that route made straight, and has not been run in one piece.
"""

from ml_collections import ConfigDict

from configs import base, supervegan4_small


def get_config() -> ConfigDict:
    """Wider than the small 4x network: more of the picture is there to be kept."""
    c = supervegan4_small.get_config()
    c.model.scale = 2
    c.model.stem_width = 24
    c.model.input_width = 24
    c.model.temporal_widths = (32, 48)
    c.model.width = 48
    c.model.trunk_blocks = 2
    c.model.detail_width = 48
    c.model.inner_width = 96
    # Against the softer half of "mse_a" stage A would hardly be better than plain enlargement.
    c.phases.stage_a = base.phase(11_000, ("stage_a",), (0.0, 0.0), mse_a_enlarged=1.0)
    # Stage B's losses do nothing for the trunk that stage A's own error had not done, and cost it.
    weights = {"mse": 1.0, "perceptual": 1e-2}
    c.phases.blend = base.phase(1_500, ("stage_b",), (0.0, 1.0), **weights)
    weights |= {"adversarial": 2e-2, "flat": 200.0, "grid": 400.0}
    c.phases.full = base.phase(4_000, ("stage_b",), (1.0, 1.0), **weights)
    # The deepest layer sees 24 pixels, and the discriminator wins with it.
    c.perceptual.layers = ("relu1_2", "relu2_2", "relu3_1")
    # At 2e-3 without a limit stage A diverged; a norm of 1e-1 is the adversarial phase's usual one.
    c.optimizer.learning_rate = 1.2e-3
    c.optimizer.final_learning_rate = 1e-5
    c.optimizer.max_gradient_norm = 1e-1
    c.optimizer.warmup_steps = 200
    # What the network adds here is finer and harder to tell from the truth than at 4x.
    c.optimizer.discriminator_learning_rate = 1e-2
    c.prepare.bitrates_kbps = (150, 250, 500, 1000)
    return c
