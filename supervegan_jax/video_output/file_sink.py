"""Frames into a video file, in segments that outlive an interruption."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from supervegan_jax.video_input.frames import VideoFrame
from supervegan_jax.video_input.source import Source
from supervegan_jax.video_output import fit, mux, partial_work, segments
from supervegan_jax.video_output.plan import Plan
from supervegan_jax.video_output.segments import SegmentWriter, VideoSettings


class FileSink:
    """Writes a video file through segments in "<output>.partial/"; see `open_sink`."""

    def __init__(
        self,
        path: Path,
        plan: Plan,
        settings: VideoSettings,
        source: Source,
        overwrite: bool,
        job: Mapping[str, Any],
        drop: Sequence[int],
        notes: tuple[str, ...] = (),
    ) -> None:
        """Claims the folder of unfinished work and tries out whether the container suits."""
        self.path = path
        self.folder = partial_work.folder_of(path)
        self.notes = notes
        self._plan, self._overwrite = plan, overwrite
        self.manifest = partial_work.make_manifest(source, settings, dict(job), drop)
        self._lock = partial_work.claim(self.folder, self.manifest, overwrite, source.path is None)
        try:
            # The number of threads belongs to the work that lies there already.
            threads = json.loads((self.folder / "manifest.json").read_text())["threads"]
            encoding = dataclasses.replace(settings.encoding, threads=threads)
            self._settings = dataclasses.replace(settings, encoding=encoding)
            self._done = partial_work.finished_segments(self.folder, encoding.segment_frames)
            self.notes += fit.require(self._plan, self._settings, source, self.folder)
        except BaseException:
            self._release()
            raise
        self.finished_frames = len(self._done) * encoding.segment_frames
        self._next = self.finished_frames
        self._writer: SegmentWriter | None = None
        self._last_pts: int | None = None

    @property
    def kept_frames(self) -> int:
        """Frames in finished segments."""
        return len(self._done) * self._settings.encoding.segment_frames

    def __enter__(self) -> "FileSink":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.discard()
            self._writer = None
        self._release()

    def write(self, frame: VideoFrame) -> None:
        """Encodes the next frame.

        Raises:
          ValueError: it is not the next one, or has other planes than the format says.
          OSError: the disk is full.
        """
        frame.check_turn(self._next)
        if self._last_pts is not None and frame.pts <= self._last_pts:
            raise ValueError(f"frame {frame.index}: timestamp {frame.pts} is not a later one")
        size = self._settings.encoding.segment_frames
        if self._writer is None:
            path = segments.segment_path(self.folder, frame.index // size)
            self._writer = SegmentWriter(path, self._settings)
        self._writer.write(frame)
        self._next, self._last_pts = frame.index + 1, frame.pts
        if self._next % size == 0:
            self._finish_segment()

    def _finish_segment(self) -> None:
        if self._writer is not None:
            self._writer.finish()
            self._done.append(self._writer.path)
            self._writer = None

    def close(self) -> None:
        """Puts the segments and the copied streams together and names the file.

        Raises:
          ValueError: no frame was written, or somebody else has made the output meanwhile; the
            segments stay.
          VideoError: ffmpeg failed; the segments stay.
          OSError: the disk is full; the segments stay.
        """
        self._finish_segment()
        if not self._done:
            self._release()
            raise ValueError(f"{self.path}: no frame was written")
        video = segments.join(self._done, self.folder / "video.mp4", self._settings)
        finished = self.folder / f"finished.{self._plan.container}"
        mux.mux(self._plan, video, finished)
        self.notes += mux.shift_notes(self._plan, video, finished)
        with finished.open("rb") as file:
            os.fsync(file.fileno())
        self._name(finished)
        partial_work.remove(self.folder)
        self._lock.close()

    def _name(self, finished: Path) -> None:
        if not self._overwrite:
            try:
                # Unlike a new name, a second one takes no other file's place.
                os.link(finished, self.path)
                return
            except FileExistsError:
                raise ValueError(
                    f"output {self.path} has been made meanwhile; --overwrite replaces it with "
                    "what is finished"
                ) from None
            except OSError:  # a file system without second names
                pass
        os.replace(finished, self.path)

    def _release(self) -> None:
        """Lets go of the folder, and removes it if nothing in it is worth keeping."""
        self._lock.close()
        if not any(self.folder.glob("*.segment")):
            partial_work.remove(self.folder)
