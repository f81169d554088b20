r"""Ablation of SUPERVEGAN-4 (V-F1): no loss on stage A after the first phase.

python -m supervegan_jax.main --config configs/no_mse_a.py \
    --config.data.records=RECORDS --workdir runs/no_mse_a

Hardware, time and scores: not measured yet.
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    """SUPERVEGAN-4 with the ablation's switch set."""
    c = base.get_config()
    c.ablation = "no_mse_a"
    return c
