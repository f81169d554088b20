"""Which encoder, with which options: chosen, checked against the container, and opened."""

import dataclasses
import os
from fractions import Fraction
from typing import Any, Final, cast

import av
from av.codec.context import Flags

from supervegan_jax.video_input.frames import SUBSAMPLINGS, FrameFormat
from supervegan_jax.video_input.media import UNSPECIFIED, Picture
from supervegan_jax.video_input.pixels import MATRIX_NUMBERS, PLANAR

X26X_PRESETS: Final = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow", "placebo"),
)


@dataclasses.dataclass(frozen=True)
class Codec:
    """One of the codecs to choose from.

    Attributes:
      encoder: ffmpeg's name of the encoder.
      crf: the default, on this codec's own scale.
      highest_crf: the end of that scale, which begins at 0.
      preset: the default.
      presets: all of them, the fastest first.
      even: whether chroma shared by two pixels needs an even size.
      whole_crf: whether the scale has no fractions.
    """

    encoder: str
    crf: float
    highest_crf: int
    preset: str
    presets: tuple[str, ...]
    even: bool
    whole_crf: bool


# Enhanced film at 1280x720 chose the defaults: x264's medium takes 2.6 times as long as veryfast
# for a sixth fewer bits of the same SSIM, x265's medium 1.5 times as long as faster for none.
CODECS: Final = {
    "h264": Codec("libx264", 17, 51, "veryfast", X26X_PRESETS, True, False),
    "h265": Codec("libx265", 20, 51, "faster", X26X_PRESETS, True, False),
    "vp9": Codec("libvpx-vp9", 24, 63, "5", tuple(str(n) for n in range(8, -1, -1)), False, True),
    "av1": Codec("libsvtav1", 24, 63, "8", tuple(str(n) for n in range(13, -1, -1)), True, True),
}
# What people and ffmpeg also call them.
OTHER_NAMES: Final = {"hevc": "h265", **{codec.encoder: name for name, codec in CODECS.items()}}
# The containers that can be written: ffmpeg's muxer and the codecs that players find in them.
CONTAINERS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "mkv": ("matroska", ("h264", "h265", "vp9", "av1")),
    "mp4": ("mp4", ("h264", "h265", "vp9", "av1")),
    "m4v": ("mp4", ("h264", "h265")),
    "mov": ("mov", ("h264", "h265")),
    "webm": ("webm", ("vp9", "av1")),
    "ts": ("mpegts", ("h264", "h265")),
    "m2ts": ("mpegts", ("h264", "h265")),
}


@dataclasses.dataclass(frozen=True)
class EncodeOptions:
    """What may be chosen about the output's video.

    Attributes:
      codec: a key of `CODECS`; None takes H.264 where 8 bits are stored and H.265 for more (which
        HDR players expect), in WebM VP9 for 8 bits and AV1 for more.
      crf: constant quality, less is better; None takes the codec's default.
      preset: the encoder's speed; None takes the codec's default.
      pix_fmt: ffmpeg's name of the stored samples; None keeps the source's subsampling and depth.
      segment_frames: frames encoded as one piece: what an interruption can lose at most, and the
        longest distance of key frames.
      threads: of the encoder; None takes one a core, 16 at most.
    """

    codec: str | None = None
    crf: float | None = None
    preset: str | None = None
    pix_fmt: str | None = None
    segment_frames: int = 120
    threads: int | None = None


@dataclasses.dataclass(frozen=True)
class Encoding:
    """`EncodeOptions` with every choice made; equal ones give equal bytes."""

    codec: str
    crf: float
    preset: str
    pix_fmt: str
    segment_frames: int
    threads: int


def resolve(options: EncodeOptions, fmt: FrameFormat, container: str) -> Encoding:
    """Makes the choices left open.

    Args:
      options: the user's.
      fmt: of the frames to be encoded.
      container: a key of `CONTAINERS`.

    Raises:
      ValueError: an unknown codec, one that the container or the samples do not fit, or a number
        out of its range.
    """
    _, allowed = CONTAINERS[container]
    depth = PLANAR[options.pix_fmt][1] if options.pix_fmt in PLANAR else fmt.bit_depth
    name = options.codec or _default_codec(depth, container)
    name = OTHER_NAMES.get(name, name)
    if name not in CODECS:
        raise ValueError(f"codec {name!r}: must be one of {', '.join(CODECS)}")
    if name not in allowed:
        holders = [c for c, (_, codecs) in CONTAINERS.items() if name in codecs]
        raise ValueError(
            f"codec {name} does not fit into {container}, which holds {' or '.join(allowed)}; "
            f"{', '.join(holders)} can hold it"
        )
    codec = CODECS[name]
    crf = codec.crf if options.crf is None else options.crf
    if not 0 <= crf <= codec.highest_crf:
        raise ValueError(f"crf {crf:g}: must be 0 to {codec.highest_crf} for {name}")
    if codec.whole_crf and crf != int(crf):
        raise ValueError(f"crf {crf:g}: must be a whole number for {name}")
    preset = codec.preset if options.preset is None else str(options.preset)
    if preset not in codec.presets:
        raise ValueError(f"preset {preset!r}: must be one of {', '.join(codec.presets)} for {name}")
    if options.segment_frames < 1:
        raise ValueError(f"segment_frames {options.segment_frames}: must be at least 1")
    return Encoding(
        codec=name,
        crf=float(crf),
        preset=preset,
        pix_fmt=_stored_format(options.pix_fmt, fmt, name),
        segment_frames=options.segment_frames,
        threads=options.threads or min(16, os.cpu_count() or 1),
    )


def _default_codec(bit_depth: int, container: str) -> str:
    if container == "webm":
        return "vp9" if bit_depth == 8 else "av1"
    return "h264" if bit_depth == 8 else "h265"


def _stored_format(wanted: str | None, fmt: FrameFormat, name: str) -> str:
    codec = CODECS[name]
    formats = av.codec.Codec(codec.encoder, "w").video_formats or []
    accepted = [f.name for f in formats if f.name in PLANAR and not f.name.startswith("yuvj")]
    pix_fmt = wanted or fmt.pixel_format
    if wanted is None and pix_fmt not in accepted and fmt.subsampling == "gray":
        # Neutral chroma adds nothing and takes nothing away.
        pix_fmt = pix_fmt.replace("gray", "yuv420p")
    if pix_fmt not in accepted:
        raise ValueError(
            f"pix_fmt {pix_fmt}: {name} stores {', '.join(accepted)}; choose one of these, "
            "or another codec"
        )
    across, down = SUBSAMPLINGS[PLANAR[pix_fmt][0]]
    if codec.even and across and (fmt.width % across or fmt.height % down):
        raise ValueError(
            f"{fmt.width}x{fmt.height}: {name} needs an even size for {pix_fmt}; "
            "pix_fmt yuv444p or codec vp9 takes any"
        )
    return pix_fmt


def open_encoder(
    context: av.VideoCodecContext,
    encoding: Encoding,
    fmt: FrameFormat,
    picture: Picture,
    time_base: Fraction,
    rate: Fraction,
) -> None:
    """Sets up and opens an encoder's context, so that the same frames give the same bytes.

    Args:
      context: of `CODECS[encoding.codec].encoder`.
      encoding: the choices.
      fmt: of the frames.
      picture: tags to write: colours, aspect ratio, HDR.
      time_base: of the frames' timestamps.
      rate: nominal frames per second, which steers the rate control only.
    """
    context.width, context.height = fmt.width, fmt.height
    context.pix_fmt = encoding.pix_fmt
    context.time_base = time_base
    context.framerate = rate
    context.gop_size = encoding.segment_frames
    context.thread_count = encoding.threads
    context.flags |= Flags.global_header
    if picture.sample_aspect_ratio is not None:
        context.sample_aspect_ratio = picture.sample_aspect_ratio
    context.color_primaries = picture.primaries
    context.color_trc = picture.transfer
    context.colorspace = MATRIX_NUMBERS.get(fmt.matrix, UNSPECIFIED)
    context.color_range = 2 if fmt.full_range else 1
    context.options = _encoder_options(encoding, fmt, picture)
    if encoding.codec == "av1":
        # SVT-AV1 writes to stderr by itself unless its own environment variable says "errors only".
        os.environ.setdefault("SVT_LOG", "1")
    try:
        context.open()
    except av.error.FFmpegError as error:
        raise ValueError(
            f"{CODECS[encoding.codec].encoder} does not take {fmt.width}x{fmt.height} "
            f"{encoding.pix_fmt} at {float(rate):g} frames/s; choose another codec"
        ) from error


def _encoder_options(encoding: Encoding, fmt: FrameFormat, picture: Picture) -> dict[str, str]:
    crf, threads = f"{encoding.crf:g}", encoding.threads
    options = {"crf": crf, "preset": encoding.preset}
    if fmt.subsampling == "420":
        options["chroma_sample_location"] = fmt.chroma_location
    mastering, light = picture.mastering_display, picture.content_light
    if encoding.codec == "h264":
        extra = [f"mastering-display={mastering}"] * bool(mastering)
        extra += [f"cll={light[0]},{light[1]}"] if light else []
        options["x264-params"] = ":".join(extra)
    elif encoding.codec == "h265":
        # Frames shared between threads would make the bytes depend on their timing.
        extra = ["log-level=error", "open-gop=0", f"pools={threads}", "frame-threads=1"]
        extra += [f"master-display={mastering}"] * bool(mastering)
        extra += [f"max-cll={light[0]},{light[1]}"] if light else []
        options["x265-params"] = ":".join(extra)
    elif encoding.codec == "vp9":
        # In its good mode libvpx takes every speed beyond 5 for 5.
        deadline = "realtime" if int(encoding.preset) > 5 else "good"
        options = {"crf": crf, "b": "0", "deadline": deadline, "cpu-used": encoding.preset}
        options |= {"row-mt": "1"}
    else:
        extra = [f"lp={min(threads, 6)}"]
        extra += [f"mastering-display={_svt_mastering(mastering)}"] if mastering else []
        extra += [f"content-light={light[0]},{light[1]}"] if light else []
        options["svtav1-params"] = ":".join(extra)
    return {key: value for key, value in options.items() if value}


def _svt_mastering(text: str) -> str:
    """The same numbers in units of 1 and of cd/m2, which SVT-AV1 takes."""
    parts = []
    for part in text.rstrip(")").split(")"):
        name, numbers = part.split("(")
        unit = 10_000 if name == "L" else 50_000
        values = [f"{int(number) / unit:.5f}" for number in numbers.split(",")]
        parts.append(f"{name}({','.join(values)})")
    return "".join(parts)


def new_encoder(encoding: Encoding) -> av.VideoCodecContext:
    """A context for `open_encoder`."""
    name: Any = CODECS[encoding.codec].encoder
    return cast(av.VideoCodecContext, av.CodecContext.create(name, "w"))
