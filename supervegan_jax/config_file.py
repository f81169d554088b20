"""Configurations from the files that hold them."""

import runpy
from pathlib import Path

from ml_collections import ConfigDict


def load_config(path: str | Path) -> ConfigDict:
    """The configuration of a file of configs/.

    Raises:
      ValueError: no such file, or it has no get_config.
    """
    if not Path(path).is_file():
        raise ValueError(
            f"no config file {str(path)!r}; the project's are in configs/ and configs/experiments/"
        )
    names = runpy.run_path(str(path))
    if "get_config" not in names:
        raise ValueError(f"{path} has no function get_config")
    return names["get_config"]()
