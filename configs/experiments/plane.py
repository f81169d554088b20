r"""Perception against distortion, a plane for 4x and one for 2x (Fig. 9); nothing is trained.

python -m supervegan_jax.experiment --config configs/experiments/plane.py \
    --clips CLIPS.. --workdir runs/plane

The paper's perception is PI, for which Ma's model is needed: --set perception=pi ma_model=model.mat
metrics=rmse,niqe,pi
"""

from ml_collections import ConfigDict

from configs.experiments import stages


def get_config() -> ConfigDict:
    """The networks and frames of stages.py, by RMSE and NIQE."""
    c = stages.get_config()
    c.results = "plane"
    c.metrics = ("rmse", "niqe", "lpips", "psnr")
    return c
