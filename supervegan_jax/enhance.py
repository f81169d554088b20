"""Enhances a video: python -m supervegan_jax.enhance INPUT OUTPUT.

Every frame comes out once with its own timestamp; other streams are copied. Run the same command
again to go on after an interruption. INPUT and OUTPUT may be "-" for a pipe (Y4M on the way out).
"""

import signal
import sys

from supervegan_jax.command_line import run
from supervegan_jax.enhancement.arguments import parse, raw_video_fields


def main(arguments: list[str] | None = None) -> int | None:
    """Enhances a video; returns an exit code."""
    options = parse((__doc__ or "").split("\n\n")[1], arguments)
    from supervegan_jax.weights import list_models, load_model

    if options.list_models:
        for name, card in list_models().items():
            print(f"{name}\t{card['generator']['scale']}x\t{card.get('description', '')}")
        return None

    from supervegan_jax.enhancement.choice import AUTOMATIC
    from supervegan_jax.enhancement.job import Job, describe, enhance_video, summary
    from supervegan_jax.enhancement.options import RunOptions
    from supervegan_jax.video_input.samples import RawVideo
    from supervegan_jax.video_output.encoding import EncodeOptions

    run_options = RunOptions(
        stage=options.stage,
        strength=options.strength,
        dtype=options.dtype,
        batch_size=options.batch_size,
        tile=options.tile,
    )
    raw = raw_video_fields(options)
    job = Job(
        options.input,
        options.output,
        None if options.model == AUTOMATIC else load_model(options.model),
        run_options,
        EncodeOptions(options.codec, options.crf, options.preset, options.pix_fmt),
        options.start,
        options.duration,
        options.compare,
        options.overwrite,
        tuple(options.drop),
        None if raw is None else RawVideo(**raw),
        options.output_format,
    )
    if options.dry_run:
        print("\n".join(describe(job)))
        return None
    try:
        stats = enhance_video(job)
    except KeyboardInterrupt as stop:
        print(stop or "interrupted", file=sys.stderr)
        return 130
    # Standard output may be the video's.
    print(summary(stats), file=sys.stderr if options.output == "-" else sys.stdout)
    return None


def command() -> None:
    """The installed command `supervegan-enhance`."""
    # Whoever ends it so is told what is kept, and no temporary files stay, as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run(main)


if __name__ == "__main__":
    command()
