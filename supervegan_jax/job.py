"""One training job: data, three phases, scores, summary."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from supervegan_jax import build, summary
from supervegan_jax.data.records import read_preparation
from supervegan_jax.data.validation import history, load_validation, windows
from supervegan_jax.pretrained.packaged_weights import load_lpips_params
from supervegan_jax.training import loop
from supervegan_jax.training.evaluation import Evaluator
from supervegan_jax.training.parallel import Parallel
from supervegan_jax.training.phases import Phase
from supervegan_jax.training.state import TrainState
from supervegan_jax.training.workdir import git_revision, write_json
from supervegan_jax.weights.model_file import generator_from_fields


def train(config: ConfigDict, workdir: Path) -> None:
    """Prepares data if the config asks for it, trains, evaluates and writes the summary."""
    start = time.monotonic()
    metadata = {"config": config.to_dict(), "git_revision": git_revision()}
    note_changes(config, workdir / "config.json")
    write_json(workdir / "config.json", metadata)
    phases = build.build_phases(config)
    system = build.build_system(config, phases)
    parallel = Parallel(config.parallel)
    parallel.check_batch_size(config.data.batch_size, config.optimizer.accumulate)

    records = prepare_records(config, workdir)
    preparation = read_preparation(records)
    generator: Any = system.generator
    preparation.check(
        scale=config.model.scale,
        patch_size=config.data.patch_size,
        peaks=build.reads_peaks(config),
    )
    clips = []
    if preparation.validation:
        clips = load_validation(
            records, config.evaluation_frames, generator.frames, generator.reading
        )
    if not clips:
        print(f"note: {records} holds no frames out (data_prep's --holdout): nothing is scored")
    evaluator = Evaluator(system.generator, load_lpips_params("alexnet"))

    def evaluate(state: TrainState, phase: Phase) -> dict[str, float]:
        if not clips:
            return {}
        examples = ((history(clip), windows(clip), clip.hr) for clip in clips)
        return evaluator.evaluate(state.ema, examples, phase.stage)

    state = loop.train(
        workdir,
        system,
        phases,
        parallel,
        build.load_frozen(config, phases),
        build.build_batches(config, records),
        evaluate,
        loop.LoopOptions(
            config.log_every,
            config.evaluate_every if clips else 0,
            config.checkpoint_every,
            config.keep_checkpoints,
        ),
        scale=config.model.scale,
        metadata=metadata,
        initial=build.load_initial(config),
    )
    if not clips:
        seconds = time.monotonic() - start
        write_json(workdir / "summary.json", {"seconds": round(seconds, 1)})
        print(f"{seconds:.0f} s in all; nothing was held out to score")
        return
    rows, of_clips = summary.summarize(evaluator, state.ema, clips, workdir)
    kbps = sum(clip.measured_kbps for clip in clips) / len(clips)
    seconds = time.monotonic() - start
    result = {"rows": rows, "input_kbps": round(kbps, 2), "seconds": round(seconds, 1)}
    write_json(workdir / "summary.json", {**result, "clips": of_clips})
    print(summary.format_table(rows))
    print(f"input measured at {kbps:.0f} kbit/s; {seconds:.0f} s in all")
    print(f"look at {workdir / 'side_by_side.png'}; scores in {workdir / 'summary.json'}")


def note_changes(config: ConfigDict, path: Path) -> None:
    """Prints the fields that differ from those the workdir was begun with.

    Raises:
      ValueError: the network differs, so that the checkpoints there would not fit.
    """
    if not path.exists():
        return
    before = json.loads(path.read_text(encoding="utf-8"))["config"]
    now = json.loads(json.dumps(config.to_dict()))
    changes = list(_differences(before, now))
    begun = any((path.parent / "checkpoints").glob("[0-9]*"))
    # A field that an older version did not have yet makes no difference at its default.
    another = generator_from_fields(before["model"]) != generator_from_fields(now["model"])
    for name, (old, new) in changes:
        if begun and another and name.startswith("model."):
            raise ValueError(
                f"{path.parent} is of another model: its config field {name} is {old}, not {new}; "
                "take another --workdir"
            )
    for name, (old, new) in changes:
        print(f"note: config field {name} was {old} and is {new}")


def _differences(before: Any, now: Any, name: str = "") -> Iterator[tuple[str, tuple[Any, Any]]]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before | now):
            inner = f"{name}.{key}" if name else key
            yield from _differences(before.get(key), now.get(key), inner)
    elif before != now:
        yield name, (before, now)


def prepare_records(config: ConfigDict, workdir: Path) -> Path:
    """The folder of the records: the config's, or made in the workdir from the config's videos.

    Raises:
      ValueError: the config names neither records nor videos.
    """
    if config.data.records:
        return Path(config.data.records)
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
