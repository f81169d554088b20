r"""DUF-16L (Jo et al., CVPR 2018): dynamic upsampling filters over seven frames.

python -m supervegan_jax.main --config configs/duf16.py \
    --config.data.records=RECORDS --workdir runs/duf16

RECORDS need `data_prep.prepare --frames 7`. Section 4: Huber loss, Adam at 1e-3, falling by 10,
inputs of 32x32 in batches of 16.

Hardware, time and scores: not measured yet.
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    """The authors' recipe, as far as the paper tells it, on this project's data."""
    c = base.get_config()
    c.model = base.model("duf16")
    c.parallel = "jit"  # batch normalisation is of the whole batch
    c.phase_names = ("train",)
    c.phases = base.one_phase(300_000, huber=1.0)
    c.optimizer.learning_rate = 1e-3
    c.optimizer.final_learning_rate = 1e-4
    c.data.batch_size = 16
    c.data.patch_size = 32
    c.data.vertical_flip = True
    c.discriminator.input = "none"
    return c
