r"""EDVR-M (Wang et al., CVPRW 2019): deformable alignment, fusion by attention.

python -m supervegan_jax.main --config configs/edvr_m.py \
    --config.data.records=RECORDS --workdir runs/edvr_m

Section 4.1: Charbonnier loss, Adam at 4e-4 along a cosine, 600,000 steps of 32 inputs of 64x64.
The authors' restarts and slower offsets are left out.

Hardware, time and scores: not measured yet.
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    """The authors' recipe, as far as the paper tells it, on this project's data."""
    c = base.get_config()
    c.model = base.model("edvr_m")
    c.phase_names = ("train",)
    c.phases = base.one_phase(600_000, charbonnier=1.0)
    c.optimizer.schedule = "cosine"
    c.optimizer.learning_rate = 4e-4
    c.optimizer.final_learning_rate = 1e-7
    c.data.batch_size = 32
    c.data.patch_size = 64
    c.data.vertical_flip = True
    c.discriminator.input = "none"
    return c
