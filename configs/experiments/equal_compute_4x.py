r"""Compact networks of 4x, each trained with the same multiply-accumulates (Table 2).

python -m supervegan_jax.experiment --config configs/experiments/equal_compute_4x.py \
    --records RECORDS --clips CLIPS.. --workdir runs/equal_compute_4x

RECORDS need `data_prep.prepare --scale 4 --frames 7 --patch-size 64`.
"""

from ml_collections import ConfigDict

from configs import (
    duf16,
    duf28,
    duf52,
    edvr_l,
    edvr_m,
    esrgan,
    fsrcnn,
    mfqe2,
    rlfn,
    srvgg,
    supervegan4,
    supervegan4_small,
    tecogan,
)
from configs.experiments import base


def get_config() -> ConfigDict:
    """A budget for two CPU cores: about 15,000 patches each.

    Losses and optimizers are the networks' own. Patches are smaller than theirs, or larger, so that
    all but FSRCNN see about as many: at equal cost nothing else decides that.
    """
    c = base.get_config()
    c.results = "equal_compute"
    c.budget_tmacs = 20.0
    c.trials = ConfigDict(
        {
            "supervegan4_small": ours(supervegan4_small.get_config()),
            "duf16_narrow": duf16_narrow(),
            "srvgg": compact(srvgg.get_config(), patch_size=32),
            "rlfn": compact(rlfn.get_config(), patch_size=32),
            "fsrcnn": compact(fsrcnn.get_config(), patch_size=64),
        }
    )
    c.counted = ConfigDict(
        {
            "duf16": duf16.get_config(),
            "duf28": duf28.get_config(),
            "duf52": duf52.get_config(),
            "edvr_m": edvr_m.get_config(),
            "edvr_l": edvr_l.get_config(),
            "esrgan": esrgan.get_config(),
            "tecogan": tecogan.get_config(),
            "mfqe2": mfqe2.get_config(),
            "supervegan4": supervegan4.get_config(),
        }
    )
    c.input_kbps = (150, 250)
    c.reference_kbps = (150, 250)
    c.max_frames = 64
    c.frame_step = 16
    return c


def ours(training: ConfigDict) -> ConfigDict:
    """A small network's own recipe, whose phases become too short for its warm-up."""
    training.optimizer.warmup_steps = 20
    return base.brief(training)


def duf16_narrow() -> ConfigDict:
    """DUF-16L with about a third of its features: as deep, a tenth of its cost."""
    training = compact(duf16.get_config(), patch_size=32)
    training.model.width = 24
    training.model.growth = 8
    training.model.head_width = 64
    training.model.filter_width = 128
    return training


def compact(training: ConfigDict, patch_size: int) -> ConfigDict:
    """A network as published, in batches of 16."""
    training.data.batch_size = 16
    training.data.patch_size = patch_size
    return base.brief(training)
