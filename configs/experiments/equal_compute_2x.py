r"""Compact networks of 2x, each trained with the same multiply-accumulates (Table 4).

python -m supervegan_jax.experiment --config configs/experiments/equal_compute_2x.py \
    --records RECORDS --clips CLIPS.. --workdir runs/equal_compute_2x

RECORDS need `data_prep.prepare --scale 2 --frames 7 --patch-size 64`.
"""

from ml_collections import ConfigDict

from configs import duf16, duf28, duf52, mfqe2, supervegan2, supervegan2_small
from configs.experiments import equal_compute_4x


def get_config() -> ConfigDict:
    """The networks of 4x with their scale changed, and ours of 2x."""
    c = equal_compute_4x.get_config()
    others = {name: c.trials[name] for name in c.trials if name != "supervegan4_small"}
    counted = {
        "duf16": duf16.get_config(),
        "duf28": duf28.get_config(),
        "duf52": duf52.get_config(),
    }
    for training in (*others.values(), *counted.values()):
        training.model.scale = 2
    small = equal_compute_4x.ours(supervegan2_small.get_config())
    c.trials = ConfigDict({"supervegan2_small": small, **others})
    counted |= {"mfqe2": mfqe2.get_config(), "supervegan2": supervegan2.get_config()}
    c.counted = ConfigDict(counted)
    c.input_kbps = (500, 750)
    c.reference_kbps = (500, 750)
    return c
