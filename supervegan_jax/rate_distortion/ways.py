"""The ways from an encoded clip to full-size frames: as decoded, enlarged, or enhanced."""

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from supervegan_jax.enhancement.options import RunOptions, for_model, resolve
from supervegan_jax.enhancement.program import Engine
from supervegan_jax.enhancement.readings import reading_of
from supervegan_jax.ops.color import planes_to_rgb, rgb_to_planes
from supervegan_jax.ops.resize import upsample_bicubic
from supervegan_jax.rate_distortion.settings import BICUBIC, CODEC
from supervegan_jax.video_input.frames import FrameFormat, VideoFrame
from supervegan_jax.video_input.source import Source
from supervegan_jax.weights.load import load_model
from supervegan_jax.weights.model_file import LoadedModel


@dataclasses.dataclass(frozen=True)
class Way:
    """One curve: what is done with decoded frames before they are scored.

    Attributes:
      curve: its name, see `curves.Point`.
      scale: how much smaller the encoded frames are than the clip.
      identity: JSON values that decide the pixels beside the encode.
      model: the network, None for the codec itself and the bicubic enlargement.
      stage: of the network.
      engines: its compiled programs, by the format of the frames and how many are enhanced
        together; filled in when first needed.
    """

    curve: str
    scale: int
    identity: dict[str, Any]
    model: LoadedModel | None = None
    stage: str = "b"
    engines: dict[tuple[FrameFormat, int], Engine] = dataclasses.field(
        default_factory=dict, repr=False
    )

    def frames(
        self, source: Source, every: int = 1, count: int | None = None
    ) -> Iterator[VideoFrame]:
        """Full-size frames of the source's format, 8 bits where it has 8.

        Args:
          source: the decoded clip.
          every: 1 for all of them; N for every Nth from the first on, the others are not made.
          count: frames of the source that are read; None reads all.
        """
        decoded = itertools.islice(source.frames(), count)
        if self.model is not None:
            yield from self._enhanced(source, decoded, self.model, 0, every)
            return
        for frame in decoded:
            if frame.index % every == 0:
                yield frame if self.scale == 1 else _enlarge(frame, source.format, self.scale)

    def frame_at(self, source: Source, index: int) -> VideoFrame:
        """The frame of `frames` with this index, made from what it depends on alone.

        Raises:
          ValueError: the video ends before.
        """
        frames: Iterator[VideoFrame]
        if self.model is None:
            window = source.frames(index)
            frames = (
                frame if self.scale == 1 else _enlarge(frame, source.format, self.scale)
                for frame in window
            )
        else:
            reading = reading_of(self.model.generator)
            read = source.frames(reading.context_start(index, 1))
            last = index + reading.ahead
            near = itertools.takewhile(lambda frame: frame.index <= last, read)
            frames = self._enhanced(source, near, self.model, index)
        for frame in frames:
            return frame
        raise ValueError(f"{source.name} has no frame {index}")

    def _enhanced(
        self,
        source: Source,
        decoded: Iterable[VideoFrame],
        model: LoadedModel,
        first: int,
        every: int = 1,
    ) -> Iterator[VideoFrame]:
        """What `enhance_frames` gives; one program serves all encodes of a format."""
        options = _options(self.stage, model)
        if every > 1:
            options = dataclasses.replace(options, batch_size=1)
        size = options.batch_size or 1
        engine = self.engines.get((source.format, size))
        if engine is None:
            engine = Engine(model, source.format, options)
            self.engines[source.format, size] = engine
        for batch in options.reading.gather(decoded, source.format, size, first):
            wanted = any(frame.index % every == 0 for frame in batch.frames)
            if not wanted and not options.reading.in_turn:
                continue
            planes, _ = engine.collect(batch, engine.submit(batch))
            for place, frame in enumerate(batch.frames, start=batch.first):
                if frame.index % every:
                    continue
                yield dataclasses.replace(frame, planes=tuple(plane[place] for plane in planes))


def _options(stage: str, model: LoadedModel) -> RunOptions:
    devices = jax.local_devices()
    # Several CPU devices are one processor; each would have to be compiled for.
    used = devices[:1] if devices[0].platform == "cpu" else devices
    options = for_model(RunOptions(stage=stage), model)
    used = used[:1] if options.reading.in_turn else used
    return resolve(dataclasses.replace(options, devices=tuple(used)))


@functools.partial(jax.jit, static_argnames=("fmt", "scale"))
def _enlarge_planes(
    planes: tuple[jax.Array, ...], fmt: FrameFormat, scale: int
) -> tuple[jax.Array, ...]:
    return rgb_to_planes(upsample_bicubic(planes_to_rgb(planes, fmt), scale), fmt)


def _enlarge(frame: VideoFrame, fmt: FrameFormat, scale: int) -> VideoFrame:
    planes = tuple(jnp.asarray(plane)[None] for plane in frame.planes)
    enlarged = _enlarge_planes(planes, fmt, scale)
    return dataclasses.replace(frame, planes=tuple(np.asarray(plane)[0] for plane in enlarged))


def list_ways(models: Sequence[str], enlargements: Sequence[int] = ()) -> list[Way]:
    """The codec itself, the bicubic enlargement for every scale, and both stages of every model.

    Args:
      models: names, workdirs or files of networks.
      enlargements: scales to enlarge bicubically too, whether a model has them or not.

    Raises:
      ValueError: there is no such network, or two have one name.
    """
    loaded = [load_model(name) for name in dict.fromkeys(models)]
    scales = list(dict.fromkeys([*enlargements, *(model.scale for model in loaded)]))
    scales = [scale for scale in scales if scale > 1]  # at 1 it is the codec's own picture
    ways = [Way(CODEC, 1, {"way": CODEC})]
    for scale in scales:
        curve = BICUBIC if len(scales) == 1 else f"{BICUBIC} x{scale}"
        ways.append(Way(curve, scale, {"way": BICUBIC, "scale": scale}))
    for model in loaded:
        name = str(model.card["name"])
        if any(way.curve == name for way in ways):
            raise ValueError(f"two curves would be called {name!r}; rename one model's folder")
        generator: Any = model.generator
        for stage in generator.stages:
            identity: dict[str, Any] = {"way": "model", "stage": stage}
            identity |= {"params": model.digest(), "generator": repr(model.generator)}
            identity["dtype"] = _options(stage, model).dtype
            curve = name if stage == "b" else f"{name}:a"
            ways.append(Way(curve, model.scale, identity, model, stage))
    return ways
