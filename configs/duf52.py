r"""DUF-52L (Jo et al., CVPR 2018), trained as `duf16`.

python -m supervegan_jax.main --config configs/duf52.py \
    --config.data.records=RECORDS --workdir runs/duf52

Hardware, time and scores: not measured yet.
"""

from ml_collections import ConfigDict

from configs import base, duf16


def get_config() -> ConfigDict:
    """The recipe of the shallowest with the most dense blocks."""
    c = duf16.get_config()
    c.model = base.model("duf52")
    return c
