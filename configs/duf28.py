r"""DUF-28L (Jo et al., CVPR 2018), trained as `duf16`.

python -m supervegan_jax.main --config configs/duf28.py \
    --config.data.records=RECORDS --workdir runs/duf28

Hardware, time and scores: not measured yet.
"""

from ml_collections import ConfigDict

from configs import base, duf16


def get_config() -> ConfigDict:
    """The recipe of the shallowest with more dense blocks."""
    c = duf16.get_config()
    c.model = base.model("duf28")
    return c
