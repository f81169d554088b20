"""From an experiment's config to its trials: which network, which seed, which records, how long."""

import ast
import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from supervegan_jax import build
from supervegan_jax.data.records import FILE_NAME, Preparation, read_preparation
from supervegan_jax.rate_distortion.workspace import Workspace
from supervegan_jax.trials.budget import fit_steps, step_macs, total_macs
from supervegan_jax.weights.load import load_model

KINDS = ("counts", "trainings", "runtimes")
_RECORD_FILES = (FILE_NAME, "dataset_info.json")


@dataclasses.dataclass(frozen=True)
class Trial:
    """One training.

    Attributes:
      name: what tables call its network: the variant, and the seed if there are several.
      variant: its key in the experiment's `trials`.
      seed: of weights, batches and crops.
      config: of the training, whole, but for `data.records`.
      records: the folder it reads.
      macs: multiply-accumulates of a step of every phase.
    """

    name: str
    variant: str
    seed: int
    config: ConfigDict
    records: Path
    macs: dict[str, int]

    @property
    def steps(self) -> int:
        """Of all phases."""
        return build.build_phases(self.config)[-1].end

    @property
    def patches(self) -> int:
        """Seen in training, one again counted again."""
        return int(self.steps * self.config.data.batch_size)

    @property
    def total_macs(self) -> int:
        """Of the whole training."""
        return total_macs(self.config, self.macs)

    @property
    def scale(self) -> int:
        """How much larger the network makes its input."""
        return int(self.config.model.scale)

    @property
    def trained_kbps(self) -> int:
        """Target bitrate of what it is trained on, the first of several."""
        return int(self.config.prepare.bitrates_kbps[0])


def set_field(config: ConfigDict, text: str) -> None:
    """Changes a field as "trials.srvgg.data.batch_size=4" says; tuples are "seeds=0,1".

    Raises:
      ValueError: there is no such field, or the value is of another kind.
    """
    name, equals, value = text.partition("=")
    *path, last = name.split(".")
    for part in path:
        config = config.get(part) if isinstance(config, ConfigDict) else None
    if not equals or not isinstance(config, ConfigDict) or last not in config:
        raise ValueError(f"--set {text!r}: FIELD=VALUE of the experiment's config is accepted")
    before = config[last]
    try:
        read: Any = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        read = tuple(value.split(",")) if isinstance(before, tuple) else value
    if isinstance(before, tuple) and not isinstance(read, tuple):
        read = (read,)
    try:
        config[last] = read
    except TypeError:
        raise ValueError(
            f"--set {text!r}: {name} is {before!r}; a {type(before).__name__} is accepted"
        ) from None


def plan_trials(
    config: ConfigDict, records: Sequence[Path], workspace: Workspace, only: Sequence[str] = ()
) -> list[Trial]:
    """All trainings of an experiment, seed after seed, so that early ones can be compared.

    Args:
      config: the experiment's.
      records: folders; each network takes the one that fits it.
      workspace: keeps what was counted.
      only: names of the config's trials; none are all.

    Raises:
      ValueError: a name is unknown, no records fit or the budget is too small.
    """
    for name in only:
        if name not in config.trials:
            raise ValueError(f"--only {name!r}; this experiment trains {', '.join(config.trials)}")
    if not config.seeds or len(set(config.seeds)) < len(config.seeds):
        raise ValueError(f"seeds {config.seeds}; at least one and each once is accepted")
    preparations = [read_preparation(folder) for folder in records]
    trials = []
    for variant in [name for name in config.trials if not only or name in only]:
        training = config.trials[variant].copy_and_resolve_references()
        folder = choose_records(variant, training, preparations, exact=config.exact_bitrates)
        macs = count_steps(workspace, training)
        if config.budget_tmacs:
            fit_steps(training, macs, config.budget_tmacs * 1e12)
        for seed in config.seeds:
            seeded = training.copy_and_resolve_references()
            seeded.seed = seed
            name = f"{variant}_s{seed}" if len(config.seeds) > 1 else variant
            trials.append(Trial(name, variant, seed, seeded, folder, macs))
    return sorted(trials, key=lambda trial: config.seeds.index(trial.seed))


def choose_records(
    name: str, config: ConfigDict, preparations: Sequence[Preparation], *, exact: bool
) -> Path:
    """The folder that a training reads: of its scale, with patches and frames enough.

    Among several it is the one whose bitrates are the config's `prepare.bitrates_kbps`.

    Args:
      name: of the trial, for errors.
      config: of the training.
      preparations: of the folders there are.
      exact: whether the bitrates have to be those, even if only one folder fits.

    Raises:
      ValueError: none fits, or several do.
    """
    fitting, reasons = [], []
    for preparation in preparations:
        try:
            preparation.check(
                scale=config.model.scale,
                patch_size=config.data.patch_size,
                peaks=build.reads_peaks(config),
            )
            build.training_window(config).middle(preparation.window)
            fitting.append(preparation)
        except ValueError as error:
            reasons.append(str(error))
    wanted = set(config.prepare.bitrates_kbps)
    if exact or len(fitting) > 1:
        reasons += [f"{p.directory} has {p.bitrate_kbps} kbit/s" for p in fitting]
        fitting = [p for p in fitting if set(p.bitrate_kbps) == wanted]
    if len(fitting) != 1:
        why = "; ".join(reasons) or "none was given"
        raise ValueError(
            f"{name} needs one folder of records of scale {config.model.scale} and, if several "
            f"fit, of {sorted(wanted)} kbit/s; {len(fitting)} of --records fit: {why}"
        )
    return fitting[0].directory


def count_steps(workspace: Workspace, config: ConfigDict) -> dict[str, int]:
    """`step_macs`, kept: tracing a large network takes a minute."""
    key = workspace.key(config=_plain(config))
    known = workspace.read("counts", key)
    if known is None:
        known = step_macs(config)
        workspace.write("counts", key, known)
    return {name: int(value) for name, value in known.items()}


def training_key(workspace: Workspace, trial: Trial) -> str:
    """The name of a training: changes with the config, the records and the initial weights."""
    fields = {"config": _plain(trial.config), "records": records_digest(trial.records)}
    if trial.config.initial_weights:
        fields["initial"] = load_model(trial.config.initial_weights).digest()
    return workspace.key(**fields)


def records_digest(folder: Path) -> str:
    """SHA-256 of what says how records were made and how many there are, in hexadecimal."""
    digest = hashlib.sha256()
    for name in _RECORD_FILES:
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def _plain(config: ConfigDict) -> dict[str, Any]:
    fields: dict[str, Any] = config.to_dict()
    # Where records lie makes no difference; what they are does.
    del fields["data"]["records"], fields["data"]["videos"]
    return fields
