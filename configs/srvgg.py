r"""SRVGG: the compact network of Real-ESRGAN's animevideo-v3 (Wang et al., 2021).

python -m supervegan_jax.main --config configs/srvgg.py \
    --config.data.records=RECORDS --workdir runs/srvgg

L1 loss alone, the first half of the authors' recipe (train_realesrnet_x4plus.yml: Adam at 2e-4);
the degradation is this project's codecs instead of their synthetic one.

Hardware, time and scores: not measured yet.
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    """The authors' recipe, as far as the paper tells it, on this project's data."""
    c = base.get_config()
    c.model = base.model("srvgg")
    c.phase_names = ("train",)
    c.phases = base.one_phase(400_000, l1=1.0)
    c.optimizer.schedule = "constant"
    c.optimizer.learning_rate = 2e-4
    c.data.batch_size = 16
    c.data.patch_size = 64
    c.discriminator.input = "none"
    return c
