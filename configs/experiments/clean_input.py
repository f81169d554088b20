r"""Networks trained on compressed input, and the same trained on clean input.

python -m supervegan_jax.experiment --config configs/experiments/clean_input.py \
    --records R4_250 R4_20000 R2_250 R2_20000 --clips CLIPS.. --workdir runs/clean_input

Each folder of records has one bitrate (`data_prep.prepare --bitrate-kbps 250`) of one scale. At
20,000 kbit/s H.264 keeps all there is of 320x180 and 640x360, and takes less.
For GPUs: the paper's size; clean_input_small.py is for two CPU cores.

Hardware, time and scores: not measured yet.
"""

from ml_collections import ConfigDict

from configs import supervegan2, supervegan4
from configs.experiments import base
from configs.experiments.training_bitrate import of_bitrates

KBPS = {"compressed": 250, "clean": 20_000}


def get_config() -> ConfigDict:
    """Two networks of each scale."""
    c = base.get_config()
    c.results = "clean_input"
    c.exact_bitrates = True
    c.trials = of_bitrates({"4x": supervegan4.get_config(), "2x": supervegan2.get_config()}, KBPS)
    c.input_kbps = (150, 250, 500, 750)
    return c
