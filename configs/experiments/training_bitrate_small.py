r"""The training bitrate at a size for two CPU cores: the narrow network of the ablations.

python -m supervegan_jax.experiment --config configs/experiments/training_bitrate_small.py \
    --records R4_250 R4_500 R4_750 R4_1000 R2_250 R2_500 R2_750 R2_1000 \
    --clips CLIPS.. --workdir runs/training_bitrate_small
"""

from ml_collections import ConfigDict

from configs.experiments import ablations_small, training_bitrate


def get_config() -> ConfigDict:
    """One seed: eight trainings of 800 steps."""
    c = training_bitrate.get_config()
    narrow = {"4x": ablations_small.narrow(4), "2x": ablations_small.narrow(2)}
    c.trials = training_bitrate.of_bitrates(narrow, training_bitrate.KBPS)
    c.max_frames = 64
    c.frame_step = 32
    return c
