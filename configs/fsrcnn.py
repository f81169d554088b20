r"""FSRCNN (Dong et al., ECCV 2016), for RGB instead of luma.

python -m supervegan_jax.main --config configs/fsrcnn.py \
    --config.data.records=RECORDS --workdir runs/fsrcnn

Mean squared error; the authors' SGD at 1e-3 is Adam here, as all systems have one optimizer.

Hardware, time and scores: not measured yet.
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    """The authors' recipe, as far as the paper tells it, on this project's data."""
    c = base.get_config()
    c.model = base.model("fsrcnn")
    c.phase_names = ("train",)
    c.phases = base.one_phase(400_000, mse=1.0)
    c.optimizer.learning_rate = 1e-3
    c.optimizer.final_learning_rate = 1e-4
    c.data.batch_size = 16
    c.data.patch_size = 32
    c.discriminator.input = "none"
    return c
