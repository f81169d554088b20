r"""What a frame of 1280x720 takes every network here (Table 6); no clip is needed.

python -m supervegan_jax.experiment --config configs/experiments/runtime.py --workdir runs/runtime

The published networks take a CPU seconds a frame and up to minutes to compile.
"""

from ml_collections import ConfigDict

from configs.experiments import base


def get_config() -> ConfigDict:
    """The shipped networks, the paper's and those that it compares with."""
    c = base.get_config()
    c.results = "runtime"
    c.models = ("supervegan4_small", "supervegan2_small", "fast_supervegan4", "fast_supervegan2")
    c.models += ("supervegan4", "supervegan2", "duf16", "duf28", "duf52", "edvr_m", "edvr_l")
    c.models += ("esrgan", "tecogan", "mfqe2", "srvgg", "rlfn", "fsrcnn")
    return c
