"""One training job: data, three phases, scores, summary."""

import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from supervegan_jax import build, summary
from supervegan_jax.data.records import FILE_NAME, read_preparation
from supervegan_jax.data.validation import (
    ValidationClip,
    history,
    load_validation,
    windows,
)
from supervegan_jax.pretrained.packaged_weights import load_lpips_params
from supervegan_jax.training import loop
from supervegan_jax.training.evaluation import Evaluator
from supervegan_jax.training.parallel import Parallel
from supervegan_jax.training.phases import Phase
from supervegan_jax.training.state import TrainState
from supervegan_jax.training.system import System
from supervegan_jax.training.workdir import git_revision, write_json
from supervegan_jax.weights.load import read_run_config
from supervegan_jax.weights.model_file import generator_from_fields

# Fields that decide which arrays a discriminator has.
_DISCRIMINATORS = tuple(
    f"discriminator.{name}"
    for name in ("input", "layers", "kind", "width", "detail_input", "halvings", "patch_logits")
)


def train(config: ConfigDict, workdir: Path) -> None:
    """Prepares data if the config asks for it, trains, evaluates and writes the summary."""
    start = time.monotonic()
    phases = build.build_phases(config)
    system = build.build_system(config, phases)
    check_devices(config)
    build.check_phases(config, system, phases)
    note_changes(config, workdir / "config.json")
    if not has_begun(workdir):
        build.load_initial(config)  # what is wrong with it is told before the data are prepared

    records = prepare_records(config, workdir)
    clips = load_held_out(config, records)
    if not clips and config.evaluation_frames:
        print(f"note: {records} holds no frames out (data_prep's --holdout): nothing is scored")
    metadata = {"config": config.to_dict(), "git_revision": git_revision()}
    write_json(workdir / "config.json", metadata)
    evaluator = Evaluator(system.generator, load_lpips_params("alexnet") if clips else {})

    def evaluate(state: TrainState, phase: Phase) -> dict[str, float]:
        examples = ((history(clip), windows(clip), clip.hr) for clip in clips)
        return evaluator.evaluate(state.ema, examples, phase.stage)

    state = run_phases(
        config, workdir, records, system, phases, evaluate if clips else None, metadata
    )
    step = int(state.step)
    if not clips:
        seconds = time.monotonic() - start
        write_json(workdir / "summary.json", {"step": step, "seconds": round(seconds, 1)})
        print(f"{seconds:.0f} s in all; no held-out frames were scored")
        return
    rows, of_clips, notes = summary.summarize(evaluator, state.ema, clips, workdir)
    kbps = sum(clip.measured_kbps for clip in clips) / len(clips)
    seconds = time.monotonic() - start
    result: dict[str, Any] = {
        "step": step,
        "seconds": round(seconds, 1),
        "input_kbps": round(kbps, 2),
    }
    found = {name: summary.to_json(scores) for name, scores in of_clips.items()}
    result |= {"rows": summary.to_json(rows), "clips": found}
    write_json(workdir / "summary.json", result)
    print(summary.format_table(rows))
    for note in notes:
        print(f"note: {note}")
    print(f"input measured at {kbps:.0f} kbit/s; {seconds:.0f} s in all")
    print(f"look at {workdir / 'side_by_side.png'}; scores in {workdir / 'summary.json'}")


def check_devices(config: ConfigDict) -> Parallel:
    """The devices.

    Raises:
      ValueError: the config's batches cannot be split over them.
    """
    parallel = Parallel(config.parallel)
    parallel.check_batch_size(config.data.batch_size, config.optimizer.accumulate)
    count, joint = len(parallel.devices), build.sees_whole_batches(config)
    if joint and config.parallel == "pmap" and count > 1:
        raise ValueError(
            f"{joint} looks at a batch as a whole, of which pmap shows each of {count} devices "
            "its own part; --config.parallel=jit is accepted"
        )
    return parallel


def load_held_out(config: ConfigDict, records: Path) -> list[ValidationClip]:
    """The held-out frames of records, as the config's network reads them.

    Returns:
      [] if the records have none, the config wants none, or the memory source reads a folder of
      clips and encodes, whose frames are all for training.

    Raises:
      ValueError: the records do not fit the config.
    """
    if config.data.source == "memory" and not (records / FILE_NAME).is_file():
        return []
    preparation = read_preparation(records)
    preparation.check(
        scale=config.model.scale,
        patch_size=config.data.patch_size,
        peaks=build.reads_peaks(config),
    )
    if not preparation.validation or not config.evaluation_frames:
        return []
    generator: Any = build.build_model(config)
    return load_validation(records, config.evaluation_frames, generator.frames, generator.reading)


def run_phases(
    config: ConfigDict,
    workdir: Path,
    records: Path,
    system: System,
    phases: tuple[Phase, ...],
    evaluate: loop.Evaluate | None,
    metadata: dict[str, Any],
) -> TrainState:
    """Trains what the config describes, or goes on with it; see `loop.train`.

    Args:
      config: names the network, the data and how often things happen.
      workdir, system, phases, metadata: as `loop.train` takes them.
      records: where batches come from.
      evaluate: as `loop.train` takes it; None if nothing was held out to score.
    """
    return loop.train(
        workdir,
        system,
        phases,
        check_devices(config),
        build.load_frozen(config, phases),
        build.build_batches(config, records),
        evaluate or (lambda state, phase: {}),
        loop.LoopOptions(
            config.log_every,
            config.evaluate_every if evaluate else 0,
            config.checkpoint_every,
            config.keep_checkpoints,
        ),
        scale=config.model.scale,
        metadata=metadata,
        load_initial=partial(build.load_initial, config),
    )


def note_changes(config: ConfigDict, path: Path) -> None:
    """Prints the fields that differ from those the workdir was begun with.

    Raises:
      ValueError: the network or the optimizer differs, so that the checkpoints there would not
        fit; or the file is damaged.
    """
    if not path.exists():
        return
    before = read_run_config(path)["config"]
    now = json.loads(json.dumps(config.to_dict()))
    changes = list(differences(before, now))
    begun = has_begun(path.parent)
    # A field that an older version did not have yet makes no difference at its default.
    another = generator_from_fields(before["model"]) != generator_from_fields(now["model"])
    for name, (old, new) in changes:
        judged_by_another = name in _DISCRIMINATORS and old is not None
        if begun and ((another and name.startswith("model.")) or judged_by_another):
            raise ValueError(
                f"{path.parent} is of another model: its config field {name} is {old}, not {new}; "
                "take another --workdir"
            )
    limits = [fields["optimizer"].get("max_gradient_norm", 0) for fields in (before, now)]
    if begun and bool(limits[0]) != bool(limits[1]):
        raise ValueError(
            f"{path.parent} was begun with optimizer.max_gradient_norm {limits[0]}, not "
            f"{limits[1]}: a limit is not put on or taken off on the way; take another --workdir"
        )
    for name, (old, new) in changes:
        unused = ", which a run that has begun does not read"
        without = unused if begun and name == "initial_weights" else ""
        print(f"note: config field {name} was {old} and is {new}{without}")


def has_begun(workdir: Path) -> bool:
    """Whether a run there has saved anything."""
    return any((workdir / "checkpoints").glob("[0-9]*"))


def differences(before: Any, now: Any, name: str = "") -> Iterator[tuple[str, tuple[Any, Any]]]:
    """The fields of nested JSON objects that differ: ("outer.inner", (before, now))."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before | now):
            inner = f"{name}.{key}" if name else key
            yield from differences(before.get(key), now.get(key), inner)
    elif before != now:
        yield name, (before, now)


def prepare_records(config: ConfigDict, workdir: Path) -> Path:
    """The folder of the records: the config's, or made in the workdir from the config's videos.

    Raises:
      ValueError: the config names neither records that are there nor videos.
    """
    if config.data.records:
        records = Path(config.data.records)
        if not records.is_dir():
            raise ValueError(f"data.records {str(records)!r}: there is no such folder")
        return records
    if not config.data.videos:
        raise ValueError(
            "the config names no data: set --config.data.records=DIR (made by python -m "
            "data_prep.prepare) or --config.data.videos=FILE_OR_FOLDER"
        )
    from data_prep.clips import embedded_clip
    from data_prep.prepare import prepare

    videos, window = config.data.videos, build.training_window(config)
    names = (videos,) if isinstance(videos, str) else videos
    return prepare(
        [embedded_clip() if name == "embedded" else Path(name) for name in names],
        workdir / "data",
        scale=config.model.scale,
        patch_size=config.data.patch_size,
        frames=window.frames,
        truths=window.truths,
        peaks=build.reads_peaks(config),
        seed=config.seed,
        **config.prepare.to_dict(),
    )
