r"""Clean training input at a size for two CPU cores: the narrow network of the ablations.

python -m supervegan_jax.experiment --config configs/experiments/clean_input_small.py \
    --records R4_250 R4_20000 R2_250 R2_20000 --clips CLIPS.. --workdir runs/clean_input_small
"""

from ml_collections import ConfigDict

from configs.experiments import ablations_small, clean_input, training_bitrate


def get_config() -> ConfigDict:
    """Two seeds: eight trainings of 800 steps."""
    c = clean_input.get_config()
    narrow = {"4x": ablations_small.narrow(4), "2x": ablations_small.narrow(2)}
    c.trials = training_bitrate.of_bitrates(narrow, clean_input.KBPS)
    c.seeds = (0, 1)
    c.max_frames = 64
    c.frame_step = 32
    return c
