"""What a search is of: everything that its trials must share to be comparable."""

import dataclasses
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from supervegan_jax.config_file import load_config
from supervegan_jax.search.front import COSTS


@dataclasses.dataclass(frozen=True)
class Settings:
    """Kept with the study, JSON values alone.

    Attributes:
      config: the file of the base network and its training.
      records: folder of the records, absolute.
      steps: of a candidate's whole short training, all phases together.
      batch_size, patch_size: of it; 0 takes the config's.
      frames: held-out frames scored, spread over all.
      seed: of mutations, weights and batches.
      cost: the front's third axis, "ms" or "macs".
      max_ms, max_macs: candidates above are not trained; 0 sets no limit.
      timing_seconds: how long a candidate is timed, and the base network beside it.
    """

    config: str
    records: str
    steps: int
    batch_size: int
    patch_size: int
    frames: int
    seed: int
    cost: str
    max_ms: float
    max_macs: float
    timing_seconds: float

    def check(self) -> None:
        """Raises `ValueError` for a value out of range."""
        for name in ("batch_size", "patch_size", "seed", "max_ms", "max_macs"):
            if not getattr(self, name) >= 0:
                flag = "--" + name.replace("_", "-")
                raise ValueError(f"{flag} {getattr(self, name)}; 0 or more is accepted")
        for name in ("steps", "frames", "timing_seconds"):
            if not getattr(self, name) > 0:
                flag = "--" + name.replace("_", "-")
                raise ValueError(f"{flag} {getattr(self, name)}; more than 0 is accepted")
        if self.cost not in COSTS:
            raise ValueError(f"--cost {self.cost!r}; accepted are {', '.join(COSTS)}")

    def base_config(self) -> ConfigDict:
        """The base network's configuration with this search's data.

        Raises:
          ValueError: no such file, or it starts from weights, which fit no other network.
        """
        config = load_config(self.config)
        if config.initial_weights:
            raise ValueError(
                f"{self.config}: initial_weights {config.initial_weights!r}; candidates start "
                "from random weights, so '' is accepted alone"
            )
        config.data.records = self.records
        config.data.batch_size = self.batch_size or config.data.batch_size
        config.data.patch_size = self.patch_size or config.data.patch_size
        config.seed = self.seed
        return config

    def to_json(self) -> dict[str, Any]:
        """What has to be equal for a study to go on; the file's name is not, its content is."""
        fields = {k: v for k, v in dataclasses.asdict(self).items() if k != "config"}
        return {**fields, "config": self.base_config().to_dict()}

    @property
    def config_path(self) -> Path:
        """Where the base configuration lies."""
        return Path(self.config).resolve()
