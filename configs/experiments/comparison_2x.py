r"""SUPERVEGAN-2 and DUF-16L of 2x by their own recipes (Tables 4 and 5).

python -m supervegan_jax.experiment --config configs/experiments/comparison_2x.py \
    --records RECORDS --clips CLIPS.. --workdir runs/comparison_2x

For GPUs: the paper's sizes. RECORDS need `data_prep.prepare --scale 2 --bitrate-kbps 750 --frames 7
--patch-size 96`.

Hardware, time and scores: not measured yet.
"""

from ml_collections import ConfigDict

from configs import duf16, supervegan2
from configs.experiments import comparison_4x


def get_config() -> ConfigDict:
    """What the paper trained for 2x."""
    c = comparison_4x.get_config()
    duf = duf16.get_config()
    duf.model.scale = 2
    c.trials = ConfigDict({"supervegan2": supervegan2.get_config(), "duf16_2x": duf})
    return c
