r"""A SUPERVEGAN-4 for two CPU cores: 0.13 M parameters, most of its work on the input's own grid.

python -m supervegan_jax.main --config configs/supervegan4_small.py \
    --config.data.records=RECORDS --workdir runs/supervegan4_small

Measured with 2 shared CPU cores: 0.6 hours; first frames of 11 held-out clips at 109 to 1003
kbit/s: PSNR and LPIPS 29.65 dB, 0.320 (bicubic), 30.60 dB, 0.264 (stage A), 30.61 dB, 0.231
(stage B).
"""

from ml_collections import ConfigDict

from configs import base


def get_config() -> ConfigDict:
    """Narrow layers, small patches and a VGG slice that two cores can afford."""
    c = base.get_config()
    c.model.input_width = 16
    c.model.temporal_widths = (16, 24)
    c.model.width = 24
    c.model.detail_width = 16
    c.model.trunk_blocks = 2
    c.model.filter_blocks = 1
    c.model.residual_blocks = 1
    c.model.inner_blocks = 1
    c.discriminator.width = 16
    c.perceptual.layers = ("relu2_2",)
    c.perceptual.crop_size = 96
    c.phases = base.three_phases((1_000, 200, 640), adversarial=1e-4, perceptual=2e-3)
    c.optimizer.learning_rate = 1e-3
    c.optimizer.final_learning_rate = 1e-4
    c.optimizer.warmup_steps = 50
    c.data.batch_size = 8
    c.data.patch_size = 48
    c.data.threads = 1
    c.prepare.bitrates_kbps = (120, 250, 500, 1000)
    c.evaluate_every = 0
    c.checkpoint_every = 200
    c.evaluation_frames = 1
    return c
