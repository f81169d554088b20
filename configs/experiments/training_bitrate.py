r"""Networks trained at one bitrate each, measured at many (V-F3, Fig. 13).

python -m supervegan_jax.experiment --config configs/experiments/training_bitrate.py \
    --records R4_250 R4_500 R4_750 R4_1000 R2_250 R2_500 R2_750 R2_1000 \
    --clips CLIPS.. --workdir runs/training_bitrate

Each folder of records has one bitrate (`data_prep.prepare --bitrate-kbps 250`) of one scale.
For GPUs: the paper's size; training_bitrate_small.py is for two CPU cores.

Hardware, time and scores: not measured yet.
"""

from ml_collections import ConfigDict

from configs import supervegan2, supervegan4
from configs.experiments import base

KBPS = {"250": 250, "500": 500, "750": 750, "1000": 1000}


def get_config() -> ConfigDict:
    """Four networks of each scale."""
    c = base.get_config()
    c.results = "training_bitrate"
    c.exact_bitrates = True
    c.trials = of_bitrates({"4x": supervegan4.get_config(), "2x": supervegan2.get_config()}, KBPS)
    c.input_kbps = (150, 250, 500, 750, 1000)
    return c


def of_bitrates(trainings: dict[str, ConfigDict], named: dict[str, int]) -> ConfigDict:
    """Each training once for every bitrate of its records, by its name: "4x_250", "4x_500", .."""
    found = {}
    for scale, training in trainings.items():
        for name, kbps in named.items():
            changed = training.copy_and_resolve_references()
            changed.prepare.bitrates_kbps = (kbps,)
            found[f"{scale}_{name}"] = changed
    return ConfigDict(found)
