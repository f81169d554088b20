r"""EDVR-L (Wang et al., CVPRW 2019), trained as `edvr_m`.

python -m supervegan_jax.main --config configs/edvr_l.py \
    --config.data.records=RECORDS --workdir runs/edvr_l

Hardware, time and scores: not measured yet.
"""

from ml_collections import ConfigDict

from configs import base, edvr_m


def get_config() -> ConfigDict:
    """The recipe of the smaller one."""
    c = edvr_m.get_config()
    c.model = base.model("edvr_l")
    return c
