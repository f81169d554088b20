"""A search's results, printed and written: the front, all trials, the chosen configuration."""

import dataclasses
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from supervegan_jax.evaluation.results import format_columns, write_whole
from supervegan_jax.search.front import Candidate, candidates, choose, correlations, pool
from supervegan_jax.search.plot import draw
from supervegan_jax.search.space import Point, model_of, point_of
from supervegan_jax.training.workdir import write_json

FRONT, TRIALS, CHOSEN, PLOT = "front.json", "trials.json", "chosen.py", "front.png"
CORRELATIONS = "correlations.json"


@dataclasses.dataclass(frozen=True)
class Search:
    """What results are of.

    Attributes:
      model: the base network's configuration.
      config: the file it is from.
      cost: the front's third axis.
      workdir: where files go.
      trial: whose network is chosen; None chooses by `front.choose`.
    """

    model: Mapping[str, Any]
    config: Path
    cost: str
    workdir: Path
    trial: int | None = None

    @property
    def base(self) -> Point:
        """The base network's searched fields."""
        return point_of(self.model)


def write_results(search: Search, trials: Sequence[FrozenTrial]) -> str:
    """Writes every file and returns what is to be printed.

    Raises:
      ValueError: the trial to choose was not completed.
    """
    found = candidates(trials)
    counts = {state: sum(t.state == state for t in trials) for state in TrialState}
    head = (
        f"{counts[TrialState.COMPLETE]} candidates completed, {counts[TrialState.PRUNED]} stopped "
        f"or too costly, {counts[TrialState.RUNNING]} running"
    )
    front = sorted(pool(found, search.cost), key=lambda candidate: candidate.lpips)
    on_front = [candidate.number for candidate in front]
    write_json(search.workdir / TRIALS, [_trial_json(trial, on_front) for trial in trials])
    if not found:
        return f"{head}; there is no front yet"
    write_json(search.workdir / FRONT, [front_entry(search.model, c) for c in front])
    related = correlations(found)
    write_json(search.workdir / CORRELATIONS, related)
    draw(found, front, related, search.workdir / PLOT)
    lines = [head, "", _table(found, front, search.base), "", _correlation_table(related)]
    chosen = choose(found, search.base, search.cost)
    if search.trial is not None:
        chosen = next((c for c in found if c.number == search.trial), None)
        if chosen is None:
            raise ValueError(f"--choose {search.trial}: no trial of that number was completed")
    if chosen is not None:
        path = search.workdir / CHOSEN
        write_whole(path, config_text(search, chosen))
        lines += ["", f"chosen: trial {chosen.number}, {path}"]
        if chosen.point == search.base and search.trial is None:
            lines[-1] += " (the base network: nothing beat it at its cost)"
    names = ", ".join((FRONT, TRIALS, CORRELATIONS, PLOT))
    return "\n".join([*lines, f"written to {search.workdir}: {names}"])


def front_entry(model: Mapping[str, Any], candidate: Candidate) -> dict[str, Any]:
    """One network of front.json; `config` is what `models.build_generator` takes."""
    return {
        "params": candidate.parameters,
        "psnr": candidate.psnr,
        "lpips": candidate.lpips,
        "ms": candidate.ms,
        "macs": candidate.macs,
        "config": model_of(model, candidate.point),
    }


def _trial_json(trial: FrozenTrial, on_front: Sequence[int]) -> dict[str, Any]:
    values = dict(zip(("psnr", "lpips", "ms"), trial.values or (), strict=False))
    known = {name: value for name, value in trial.user_attrs.items() if name != "begun"}
    point = trial.params or trial.system_attrs.get("fixed_params", {})
    return {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "seed": False,
        **known,
        "front": trial.number in on_front,
        **values,
        "point": point,
    }


def _table(found: Sequence[Candidate], front: Sequence[Candidate], base: Point) -> str:
    """All that were completed: the front, then the seeds, then the others, each by LPIPS."""
    rows = []
    ranked = sorted(found, key=lambda c: (c not in front, not c.seed, c.lpips))
    for candidate in ranked:
        changes = [f"{k}={v}" for k, v in candidate.point.items() if v != base[k]]
        groups = ["front"] * (candidate in front) + ["seed"] * candidate.seed
        rows.append(
            [
                str(candidate.number),
                ", ".join(groups) or "other",
                f"{candidate.psnr:.2f}",
                f"{candidate.lpips:.4f}",
                f"{candidate.ms:.1f}",
                f"{candidate.macs / 1e9:.2f}",
                f"{candidate.parameters / 1e6:.3f}",
                " ".join(changes) or "(base)",
            ]
        )
    header = ["trial", "group", "PSNR", "LPIPS", "ms", "GMAC", "M params", "changes"]
    widths = max(len(row[-1]) for row in rows)
    return format_columns(header, [[*row[:-1], row[-1].ljust(widths)] for row in rows])


def _correlation_table(related: Mapping[str, Mapping[str, float | None]]) -> str:
    rows = [
        [field, *("-" if r is None else f"{r:+.2f}" for r in of.values())]
        for field, of in related.items()
    ]
    return format_columns(["Pearson correlation with", "PSNR", "LPIPS", "ms"], rows)


def config_text(search: Search, chosen: Candidate) -> str:
    """A configuration file: the base's, full training and all, with the chosen network."""
    fields = model_of(search.model, chosen.point)
    changes = [
        f"    c.model.{name} = {value!r}"
        for name, value in fields.items()
        if value != search.model[name]
    ]
    package = importlib.util.find_spec("configs")
    places = package.submodule_search_locations if package is not None else None
    name = search.config.stem
    if search.config.parent in [Path(place).resolve() for place in places or ()]:
        imports = f"from ml_collections import ConfigDict\n\nfrom configs import {name}"
        base = f"{name}.get_config()"
    else:
        imports = "import runpy\n\nfrom ml_collections import ConfigDict"
        base = f'runpy.run_path({str(search.config)!r})["get_config"]()'
    about = (
        f"Short training: {chosen.psnr:.2f} dB, LPIPS {chosen.lpips:.4f}; {chosen.ms:.1f} ms "
        f"a frame, {chosen.macs / 1e9:.2f} GMAC, {chosen.parameters / 1e6:.3f} M parameters."
    )
    return "\n".join(
        [
            f'"""Found by supervegan_jax.search around {name}, trial {chosen.number}.',
            "",
            about,
            '"""',
            "",
            imports,
            "",
            "",
            "def get_config() -> ConfigDict:",
            '    """The base\'s training of the chosen network."""',
            f"    c = {base}",
            *changes,
            "    return c",
            "",
        ]
    )
