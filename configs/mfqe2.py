r"""MFQE 2.0 (Guan, Xing et al., TPAMI 2019): each frame from itself and better ones.

python -m supervegan_jax.main --config configs/mfqe2.py \
    --config.data.records=RECORDS --workdir runs/mfqe2

RECORDS need `data_prep.prepare --scale 1 --peaks`: input as large as the ground truth, and the peak
frames by their true quality. main_train_NP.py of the authors: Adam at 1e-4; for a fourth of the
epochs the loss is mostly the motion's, then mostly the picture's. Steps, batches and patches are
ours, and one network serves peak frames and others.

Hardware, time and scores: not measured yet.
"""

from ml_collections import ConfigDict

from configs import base
from supervegan_jax.models.single_stage import GROUP

SMALL = 0.01  # of the loss that is not the phase's own


def get_config() -> ConfigDict:
    """The authors' recipe on this project's data."""
    c = base.get_config()
    c.model = base.model("mfqe2")
    c.parallel = "jit"  # batch normalisation is of the whole batch
    c.phase_names = ("motion", "quality")
    motion = {"motion_compensation": 1.0, "mse": SMALL}
    quality = {"motion_compensation": SMALL, "mse": 1.0}
    c.phases = ConfigDict(
        {
            "motion": base.phase(100_000, (GROUP,), (1.0, 1.0), **motion),
            "quality": base.phase(300_000, (GROUP,), (1.0, 1.0), **quality),
        }
    )
    c.optimizer.schedule = "constant"
    c.optimizer.learning_rate = 1e-4
    c.data.batch_size = 128
    c.data.patch_size = 64
    c.data.vertical_flip = True
    c.discriminator.input = "none"
    return c
