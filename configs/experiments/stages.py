r"""What stage A and stage B of the shipped networks add (Table 7, Fig. 12); nothing is trained.

python -m supervegan_jax.experiment --config configs/experiments/stages.py \
    --clips CLIPS.. --workdir runs/stages
"""

from ml_collections import ConfigDict

from configs.experiments import base


def get_config() -> ConfigDict:
    """All four networks, at the paper's two bitrates."""
    c = base.get_config()
    c.results = "stages"
    c.models = ("fast_supervegan4", "fast_supervegan2", "supervegan4_small", "supervegan2_small")
    c.max_frames = 128
    c.frame_step = 32
    return c
