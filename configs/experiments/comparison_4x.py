r"""All systems of 4x by their own recipes (Tables 2 and 3).

python -m supervegan_jax.experiment --config configs/experiments/comparison_4x.py \
    --records RECORDS RECORDS_10 RECORDS_1X --clips CLIPS.. --workdir runs/comparison_4x

For GPUs: the paper's sizes, weeks on one. RECORDS need `data_prep.prepare --scale 4 --frames 10
--truths 10 --patch-size 96`, which serve every network of 4x, RECORDS_1X `--scale 1 --peaks`.

Hardware, time and scores: not measured yet.
"""

from ml_collections import ConfigDict

from configs import duf16, edvr_l, esrgan, mfqe2, no_mse_a, no_prog, supervegan4, tecogan
from configs.experiments import base


def get_config() -> ConfigDict:
    """The paper's systems and both ablations."""
    c = base.get_config()
    c.results = "equal_compute"
    c.trials = ConfigDict(
        {
            "supervegan4": supervegan4.get_config(),
            "no_prog": no_prog.get_config(),
            "no_mse_a": no_mse_a.get_config(),
            "duf16": duf16.get_config(),
            "edvr_l": edvr_l.get_config(),
            "mfqe2": mfqe2.get_config(),
            "esrgan": esrgan.get_config(),
            "tecogan": tecogan.get_config(),
        }
    )
    c.input_kbps = (150, 250, 500, 750, 1000)
    c.reference_kbps = (75, 150, 250, 350, 500, 750, 1000, 1500, 2000)
    return c
