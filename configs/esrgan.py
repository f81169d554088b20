r"""ESRGAN (Wang et al., ECCVW 2018): residual dense blocks, a relativistic discriminator.

python -m supervegan_jax.main --config configs/esrgan.py \
    --config.data.records=RECORDS --workdir runs/esrgan

Section 4.1: L1 alone, then perceptual and adversarial losses too; inputs of 32x32 in batches of 16.
The features are VGG-16's conv5_3; the authors' conv5_4 of VGG-19 takes its weights from
--config.perceptual.weights. Their learning rate, halved at five steps, falls along a cosine here.

Hardware, time and scores: not measured yet.
"""

from ml_collections import ConfigDict

from configs import base
from supervegan_jax.models.single_stage import GROUP


def get_config() -> ConfigDict:
    """The authors' recipe, as far as the paper tells it, on this project's data."""
    c = base.get_config()
    c.model = base.model("esrgan")
    c.parallel = "jit"  # the discriminator's means and normalisation are of the whole batch
    c.phase_names = ("psnr", "gan")
    weights = {"l1": 1e-2, "perceptual": 1.0, "adversarial": 5e-3}
    c.phases = ConfigDict(
        {
            "psnr": base.phase(1_000_000, (GROUP,), (1.0, 1.0), l1=1.0),
            "gan": base.phase(400_000, (GROUP,), (1.0, 1.0), **weights),
        }
    )
    c.discriminator.kind = "esrgan"
    c.discriminator.loss = "relativistic_average"
    c.optimizer.schedule = "cosine"
    c.optimizer.learning_rate = 2e-4
    c.optimizer.final_learning_rate = 1e-5
    c.discriminator.crop_size = 128
    c.data.batch_size = 16
    c.data.patch_size = 32
    return c
