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
from supervegan_jax.weights.model_file import LoadedModel


def time_networks(config: ConfigDict, workspace: Workspace) -> list[dict[str, Any]]:
    """The records of all networks, both stages, to 1280x720; those known are not timed again.

    Args:
      config: of the experiment: `models`, published ones with random parameters among them, and
        `seconds`.
      workspace: keeps the records.

    Raises:
      ValueError: as `check_networks`.
    """
    models = check_networks(config)
    # What a cache keeps is not compiled, and its seconds are among the records.
    jax.config.update("jax_enable_compilation_cache", False)
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
        found += [record | {"model": model.card["name"]} for record in known["records"]]
    return found


def check_networks(config: ConfigDict) -> list[LoadedModel]:
    """The networks to time.

    Raises:
      ValueError: there is none or an unknown one, the seconds are none, or something is trained.
    """
    if not config.seconds > 0:
        raise ValueError(f"seconds {config.seconds:g}; more than 0 is accepted")
    if not config.models:
        raise ValueError("models (); at least one network to time is needed")
    if config.trials or config.counted:
        named = ", ".join((*config.trials, *config.counted))
        raise ValueError(f"results 'runtime' times models and trains nothing; trials are {named}")
    return [load_network(name) for name in config.models]
