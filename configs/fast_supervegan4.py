r"""Fast SUPERVEGAN-4, the real-time variant (V-D), 1.2 M parameters; for a GPU.

python -m data_prep.prepare VIDEOS --out DATA --records RECORDS --scale 4 \
    --bitrate-kbps 120 250 500 --patch-size 64 --frames 6 --truths 2
python -m supervegan_jax.main --config configs/fast_supervegan4.py \
    --config.data.records=RECORDS --workdir runs/fast_supervegan4

The shipped weights took ten minutes on an NVIDIA H200 shared with others, by the commands in
docs/training.md, in two runs; their scores are in the README. This recipe is that route made
straight, and has not been run in one piece. The paper's recipe is that of configs/supervegan4.py.
"""

from ml_collections import ConfigDict

from configs import base
from supervegan_jax.models.supervegan import VARIANTS


def get_config() -> ConfigDict:
    """Stage A alone, then both against a discriminator of features and five layers of VGG-16."""
    c = base.get_config()
    c.model.update(VARIANTS["fast_supervegan4"])
    c.discriminator.input = "features"
    c.discriminator.layers = ("relu1_2", "relu2_2", "relu3_3")
    c.discriminator.loss = "relativistic"
    c.discriminator.crop_size = 128
    c.perceptual.layers = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
    c.perceptual.unit_length = True
    c.perceptual.compute_dtype = "bfloat16"
    c.perceptual.crop_size = 128
    # Stage A as it is seen, enlarged; the half of "mse_a" is softer.
    stage_a = {"mse_a_enlarged": 150.0, "flicker_a_enlarged": 500.0}
    c.phases.stage_a = base.phase(12_000, ("stage_a",), (0.0, 0.0), **stage_a)
    c.phases.blend.steps = 0  # stage B's last layer begins near 0
    weights = {"mse": 20.0, "perceptual": 6e-2, "adversarial": 1e-1, "flicker": 3000.0}
    weights |= {"flat": 200.0, "grid": 400.0, "edge_grid": 1000.0}
    both = ("stage_a", "stage_b")
    c.phases.full = base.phase(6_600, both, (1.0, 1.0), **stage_a, **weights)
    c.optimizer.schedule = "cosine"
    c.optimizer.learning_rate = 5e-4
    c.optimizer.final_learning_rate = 1e-6
    c.optimizer.discriminator_learning_rate = 3e-3
    c.optimizer.max_gradient_norm = 1e-1
    c.optimizer.warmup_steps = 200
    c.data.truths = 2
    c.data.patch_size = 48
    c.prepare.bitrates_kbps = (120, 250, 500)
    return c
