r"""SUPERVEGAN whole, without progressive training, without the loss on stage A (V-F1, V-F2).

python -m supervegan_jax.experiment --config configs/experiments/ablations.py \
    --records RECORDS_4X RECORDS_2X --clips CLIPS.. --workdir runs/ablations

For GPUs: the paper's size; ablations_small.py is for two CPU cores.

Hardware, time and scores: not measured yet.
"""

from ml_collections import ConfigDict

from configs import supervegan2, supervegan4
from configs.experiments import base


def get_config() -> ConfigDict:
    """Both scales, all variants."""
    c = base.get_config()
    c.results = "ablations"
    c.seeds = (0, 1, 2)
    trainings = {"4x": supervegan4.get_config(), "2x": supervegan2.get_config()}
    c.trials = variants(trainings)
    return c


def variants(trainings: dict[str, ConfigDict]) -> ConfigDict:
    """The three variants of each training, by name: "full_4x", "no_prog_4x", "no_mse_a_4x"."""
    found = {}
    for scale, training in trainings.items():
        for name, ablation in (("full", ""), ("no_prog", "no_prog"), ("no_mse_a", "no_mse_a")):
            changed = training.copy_and_resolve_references()
            changed.ablation = ablation
            found[f"{name}_{scale}"] = changed
    return ConfigDict(found)
