r"""Fast SUPERVEGAN-4, the real-time variant (V-D).

python -m supervegan_jax.main --config configs/fast_supervegan4.py \
    --config.data.records=RECORDS --workdir runs/fast_supervegan4

Hardware, time and scores: not measured yet.
"""

from ml_collections import ConfigDict

from configs import base
from supervegan_jax.models.supervegan import VARIANTS


def get_config() -> ConfigDict:
    """The paper's recipe with the fields of this variant."""
    c = base.get_config()
    c.model.update(VARIANTS["fast_supervegan4"])

    return c
