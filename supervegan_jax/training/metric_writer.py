"""Metrics as JSON lines, and as TensorBoard events where TensorBoard is installed."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class MetricWriter:
    """Appends one JSON object a line to `metrics.jsonl`; see `write`."""

    def __init__(self, workdir: Path, *, first_step: int = 0):
        """Opens the log and drops the lines an interrupted run wrote past its last checkpoint.

        Args:
          workdir: gets `metrics.jsonl` and, if TensorBoard is installed, `events/`.
          first_step: where training begins or goes on; later lines will be written again.
        """
        self._path = Path(workdir) / "metrics.jsonl"
        self._scored: set[int] = set()
        self._keep_lines_before(first_step)
        self._file = self._path.open("a", encoding="utf-8")
        self._events = _open_events(Path(workdir) / "events")

    def _keep_lines_before(self, first_step: int) -> None:
        if not self._path.exists():
            return
        kept = []
        for line in self._path.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
                step = record["step"]
            except (json.JSONDecodeError, TypeError, KeyError):
                continue  # the half line of a killed run
            if step <= first_step:
                kept.append(line)
                if not {"steps_per_second", "compile_seconds"} & record.keys():
                    self._scored.add(step)
        beside = self._path.with_suffix(".tmp")
        beside.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        os.replace(beside, self._path)

    def write(self, step: int, values: Mapping[str, Any]) -> None:
        """Writes one line: {"step": step, **values}; the numbers also go to TensorBoard.

        Args:
          step: the number of finished steps.
          values: JSON values; numbers are scalars of the TensorBoard log under their key.
        """
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()
        if self._events is not None:
            self._events.add(step, {k: v for k, v in values.items() if isinstance(v, float)})

    def write_scores(self, step: int, phase: str, scores: Mapping[str, float]) -> None:
        """Writes the scores of the frames held out, after a step of the phase.

        JSON has no infinite numbers: the PSNR of equal pictures is "Infinity".
        """
        values = {k: "Infinity" if v == math.inf else v for k, v in scores.items()}
        self.write(step, {"phase": phase, **values})

    def scored(self, step: int) -> bool:
        """Whether an earlier run wrote the scores of that step."""
        return step in self._scored

    def close(self) -> None:
        """Closes both logs."""
        self._file.close()
        if self._events is not None:
            self._events.close()


class _Events:
    """TensorBoard's own event writer, without TensorFlow."""

    def __init__(self, directory: Path, writer_class: Any, event_class: Any, summary_class: Any):
        self._writer = writer_class(str(directory))
        self._event, self._summary = event_class, summary_class

    def add(self, step: int, values: Mapping[str, float]) -> None:
        import time

        summary = self._summary(
            value=[self._summary.Value(tag=tag, simple_value=v) for tag, v in values.items()]
        )
        self._writer.add_event(self._event(step=step, wall_time=time.time(), summary=summary))

    def close(self) -> None:
        self._writer.close()


def _open_events(directory: Path) -> _Events | None:
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError:
        return None
    return _Events(directory, EventFileWriter, Event, Summary)
