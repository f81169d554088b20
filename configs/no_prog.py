r"""Ablation of SUPERVEGAN-4 (V-F1): all losses from the first step, no blending.

python -m supervegan_jax.main --config configs/no_prog.py \
    --config.data.records=RECORDS --workdir runs/no_prog

Hardware, time and scores: not measured yet.
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    """SUPERVEGAN-4 with the ablation's switch set."""
    c = base.get_config()
    c.ablation = "no_prog"
    return c
