r"""TecoGAN (Chu et al., SIGGRAPH 2020): recurrent, judged by how its frames move.

python -m supervegan_jax.main --config configs/tecogan.py \
    --config.data.records=RECORDS --workdir runs/tecogan

RECORDS need `data_prep.prepare --frames 10 --truths 10`. runGan.py of the authors: clips of ten
inputs of 32x32, read forth and back, in batches of 4; Adam at 5e-5; adversarial weight 0.01. The
features are VGG-16's, and their adaptive balance of the two networks is left out.

Hardware, time and scores: not measured yet.
"""

from ml_collections import ConfigDict

from configs import base
from supervegan_jax.models.single_stage import GROUP


def get_config() -> ConfigDict:
    """The authors' recipe, as far as it is told, on this project's data."""
    c = base.get_config()
    c.model = base.model("tecogan")
    c.parallel = "jit"  # the discriminator's normalisation is of the whole batch
    c.phase_names = ("frvsr", "full")
    # Their frames lie in [-1, 1], where squares are 4 times and differences twice ours, and they
    # add up the squares of the three channels.
    weights = {"mse": 12.0, "warp": 1.0}
    # Their 0.2 weighs 1 - cos of two features, half the squared distance of features of length 1.
    more = {"adversarial": 1e-2, "discriminator_layers": 1.0, "ping_pong": 1.0, "perceptual": 0.1}
    c.phases = ConfigDict(
        {
            "frvsr": base.phase(500_000, (GROUP,), (1.0, 1.0), **weights),
            "full": base.phase(900_000, (GROUP,), (1.0, 1.0), **weights, **more),
        }
    )
    c.discriminator.input = "triplets"
    c.perceptual.unit_length = True
    c.perceptual.layers = ("relu2_2", "relu3_3", "relu4_3", "relu5_3")
    c.optimizer.schedule = "constant"
    c.optimizer.learning_rate = 5e-5
    c.optimizer.discriminator_learning_rate = 5e-5
    c.data.batch_size = 4
    c.data.patch_size = 32
    c.data.truths = 10
    c.data.ping_pong = True
    return c
