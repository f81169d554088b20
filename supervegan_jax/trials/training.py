"""Trains what is not trained yet, and keeps each result by what it was made from.

WORKDIR/counts/<key>.json       multiply-accumulates of a config's steps
WORKDIR/trainings/<key>/        the workdir of one training, as `main` makes it
WORKDIR/trainings/<key>.json    its cost; there when it is finished
WORKDIR/models/<name>/          its network, ready to measure
"""

import dataclasses
import gc
import json
from collections.abc import Sequence
from pathlib import Path

import jax
from tqdm import tqdm

from supervegan_jax import build, job
from supervegan_jax.benchmarking.counts import count_parameters, frame_macs
from supervegan_jax.rate_distortion.workspace import Workspace
from supervegan_jax.training.workdir import locked
from supervegan_jax.trials.plan import Trial, training_key
from supervegan_jax.weights.load import load_workdir
from supervegan_jax.weights.model_file import CARD_FILE, read_card, save_model


@dataclasses.dataclass(frozen=True)
class Trained:
    """A finished trial.

    Attributes:
      trial: what was trained.
      model: the folder of its network.
      seconds: of the steps alone, without compiling, scoring and saving.
      parameters: of the network.
      frame_macs: multiply-accumulates of one frame of 1280x720.
    """

    trial: Trial
    model: Path
    seconds: float
    parameters: int
    frame_macs: int


def train_all(workspace: Workspace, trials: Sequence[Trial]) -> list[Trained]:
    """Trains the trials one after the other; what is finished, or half finished, is gone on with.

    They share this process: the loop frees what it held at its end, compiled programs are dropped
    here, and a fresh process would read and compile LPIPS and VGG anew for each.

    Raises:
      ValueError: as `job.train`.
      Terminated: a signal arrived; the state is saved.
    """
    done = []
    with tqdm(trials, desc="trainings", unit="training", disable=not trials) as bar:
        for trial in bar:
            bar.set_postfix_str(trial.name)
            done.append(train_one(workspace, trial))
    return done


def train_one(workspace: Workspace, trial: Trial) -> Trained:
    """Trains one, unless it is trained, and exports its network; see `train_all`."""
    key = training_key(workspace, trial)
    folder = workspace.root / "trainings" / key
    known = workspace.read("trainings", key)
    if known is None:
        config = trial.config.copy_and_resolve_references()
        config.data.records = str(trial.records)
        with locked(folder):
            job.train(config, folder)
        known = {"name": trial.name, "seconds": seconds_of_steps(folder / "metrics.jsonl")}
        workspace.write("trainings", key, known)
        jax.clear_caches()
        gc.collect()
    model = workspace.root / "models" / trial.name
    if not (model / CARD_FILE).is_file() or read_card(model / CARD_FILE).get("trial") != key:
        loaded = load_workdir(folder)
        card = {**loaded.card, "name": trial.name, "trial": key}
        save_model(model, card.pop("generator"), loaded.params, card, "float32")
    generator = build.build_model(trial.config)
    costs = count_parameters(generator), frame_macs(generator)
    return Trained(trial, model, float(known["seconds"]), *costs)


def seconds_of_steps(log: Path) -> float:
    """How long the steps of a training took by its metrics.jsonl, interruptions left out."""
    total, last = 0.0, 0
    for line in log.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if "steps_per_second" in record:
            total += (record["step"] - last) / record["steps_per_second"]
            last = record["step"]
    return total
