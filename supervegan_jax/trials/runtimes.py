"""Times the networks of an experiment, each kept by what it was measured of.

WORKDIR/runtimes/<key>.json     the benchmark's records of a network on this device
"""

from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from supervegan_jax.benchmarking.measure import OUTPUT, Plan, measure
from supervegan_jax.benchmarking.networks import load_network
from supervegan_jax.rate_distortion.workspace import Workspace


def time_networks(config: ConfigDict, workspace: Workspace) -> list[dict[str, Any]]:
    """The records of all networks, both stages, to 1280x720; those known are not timed again.

    Args:
      config: of the experiment: `models`, published ones with random parameters among them, and
        `seconds`.
      workspace: keeps the records.

    Raises:
      ValueError: a network is unknown, or the seconds are none.
    """
    if config.seconds <= 0:
        raise ValueError(f"seconds {config.seconds:g}; more than 0 is accepted")
    models = [load_network(name) for name in config.models]
    found = []
    for model in models:
        about = {
            "network": model.digest(),
            "fields": model.card["generator"],
            "seconds": config.seconds,
            "device": jax.local_devices()[0].device_kind,
            "devices": len(jax.local_devices()),
            "jax": jax.__version__,
        }
        key = workspace.key(**about)
        known = workspace.read("runtimes", key)
        if known is None:
            plan = Plan(
                outputs=(OUTPUT,),
                stages=("a", "b"),
                measures=("forward",),
                against_pytorch=False,
                batch_size=None,
                dtype=None,
                seconds=config.seconds,
                folder=Path(),
            )
            known = {**about, "records": measure([model], plan)[0]}
            workspace.write("runtimes", key, known)
        found += known["records"]
    return found
