"""Bitrate equivalency according to people: python -m supervegan_jax.study COMMAND.

prepare makes the videos and every observer's plan; serve shows them to people and keeps their
votes; export-mturk and import-mturk take the same plan to Amazon Mechanical Turk and back; analyse
finds the bitrate at which half the votes go to either side, and simulate makes votes whose answer
is known, to try it on.
"""

import importlib
import sys

from supervegan_jax.command_line import Parser, run
from supervegan_jax.study.arguments import (
    add_export_mturk,
    add_import_mturk,
    add_prepare,
    add_serve,
)


def main(arguments: list[str] | None = None) -> int | None:
    """Runs the sub-command of the command line."""
    parser = Parser(prog="supervegan_jax.study", description=(__doc__ or "").split("\n\n")[1])
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    add_prepare(commands.add_parser("prepare", help="videos, pairs and every observer's plan"))
    add_serve(commands.add_parser("serve", help="the page that people vote on"))
    add_export_mturk(commands.add_parser("export-mturk", help="the study for Mechanical Turk"))
    add_import_mturk(commands.add_parser("import-mturk", help="its results into the votes"))
    words = sys.argv[1:] if arguments is None else arguments
    for name, what in (
        ("analyse", "equivalent bitrates from votes"),
        ("simulate", "votes with a known answer, and how often the analysis finds it"),
    ):
        command = commands.add_parser(name, help=what)
        if words[:1] == [name]:  # statistics take their time to import
            module = importlib.import_module(f"supervegan_jax.study.{name}")
            module.add_arguments(command)
            command.set_defaults(work=module.run)
    options = parser.parse_args(words)
    result: int | None = options.work(options)
    return result


if __name__ == "__main__":
    run(main)
