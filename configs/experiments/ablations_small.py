r"""The ablations at a size for two CPU cores: a narrow network, 800 steps, three seeds.

python -m supervegan_jax.experiment --config configs/experiments/ablations_small.py \
    --records RECORDS_4X RECORDS_2X --clips CLIPS.. --workdir runs/ablations_small

RECORDS_4X and RECORDS_2X need `data_prep.prepare --frames 5 --patch-size 32` or more of both.
"""

from ml_collections import ConfigDict

from configs import base as training_base
from configs import supervegan4_small
from configs.experiments import ablations, base


def get_config() -> ConfigDict:
    """The paper's losses and its proportion of phases, 1 to 1 to 2."""
    c = ablations.get_config()
    c.trials = ablations.variants({"4x": narrow(4), "2x": narrow(2)})
    c.max_frames = 64
    c.frame_step = 32
    return c


def narrow(scale: int) -> ConfigDict:
    """The small network with half its features, trained as the paper's, both stages together."""
    training = supervegan4_small.get_config()
    training.model.scale = scale
    training.model.stem_width = 16
    training.model.input_width = 16
    training.model.temporal_widths = (16, 16)
    training.model.width = 16
    training.model.trunk_blocks = 2
    training.model.detail_width = 16
    training.model.inner_width = 32
    training.model.inner_blocks = 1
    training.phases = training_base.three_phases((200, 200, 400), adversarial=5e-3, perceptual=1e-2)
    training.perceptual.layers = ("relu1_2", "relu2_2")
    training.perceptual.crop_size = 32
    training.discriminator.crop_size = 32
    training.optimizer.learning_rate = 1e-3
    training.optimizer.discriminator_learning_rate = 2e-3
    training.optimizer.warmup_steps = 20
    training.optimizer.ema_decay = 0.99
    training.data.batch_size = 8
    training.data.patch_size = 32
    return base.brief(training)
