r"""SUPERVEGAN-4: 320x180 at 250 kbit/s in, 1280x720 out.

python -m supervegan_jax.main --config configs/supervegan4.py \
    --config.data.records=RECORDS --workdir runs/supervegan4

Hardware, time and scores: not measured yet.
"""

from configs.base import get_config

__all__ = ["get_config"]
