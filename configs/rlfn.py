r"""RLFN (Kong et al., CVPRW 2022): residual local features for real time.

python -m supervegan_jax.main --config configs/rlfn.py \
    --config.data.records=RECORDS --workdir runs/rlfn

Section 4.1: L1 loss, Adam at 5e-4, halved every 200,000 of 1,000,000 steps; here along a cosine.
Inputs of 64x64 in batches of 64.

Hardware, time and scores: not measured yet.
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    """The authors' recipe, as far as the paper tells it, on this project's data."""
    c = base.get_config()
    c.model = base.model("rlfn")
    c.phase_names = ("train",)
    c.phases = base.one_phase(1_000_000, l1=1.0)
    c.optimizer.schedule = "cosine"
    c.optimizer.learning_rate = 5e-4
    c.optimizer.final_learning_rate = 1.5e-5
    c.data.batch_size = 64
    c.data.patch_size = 64
    c.data.vertical_flip = True
    c.discriminator.input = "none"
    return c
