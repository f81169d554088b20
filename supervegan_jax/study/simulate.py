"""`study simulate`: studies with known answers, to try the analysis on."""

import argparse
import dataclasses
from pathlib import Path

from supervegan_jax.command_line import Parser

_NUMBERS = ("clips", "models", "inputs", "pairs", "votes", "observers", "catches", "repeats")
_SHARES = ("random", "one_sided", "observer_spread", "clip_spread", "condition_spread")


def add_arguments(parser: Parser) -> None:
    """Adds the flags of `simulate`."""
    from supervegan_jax.study.simulation.observers import Population

    defaults = dataclasses.asdict(Population())
    add = parser.add_argument
    add("--studies", type=int, default=300, metavar="N", help="default: %(default)s")
    add("--write", type=Path, metavar="CSV", help="write one study's votes instead")
    add("--json", type=Path, metavar="FILE", help="write what was counted")
    add("--resamples", type=int, default=400, metavar="N", help="default: %(default)s")
    add("--confidence", type=float, default=0.95, metavar="C", help="default: %(default)s")
    add("--seed", type=int, default=0, metavar="N")
    for name in (*_NUMBERS, *_SHARES):
        kind = int if name in _NUMBERS else float
        flag = "--" + name.replace("_", "-")
        add(flag, type=kind, default=defaults[name], metavar="N", help="default: %(default)s")


def run(arguments: argparse.Namespace) -> None:
    """Writes one study's votes, or counts how often the intervals of many hold the truth."""
    import json

    from supervegan_jax.evaluation.results import check_outputs, write_whole
    from supervegan_jax.study.analysis.equivalency import Options
    from supervegan_jax.study.analysis.screening import Rules
    from supervegan_jax.study.simulation import coverage, observers

    check_outputs([path for path in (arguments.write, arguments.json) if path is not None], [])
    if arguments.studies < 2 or arguments.seed < 0:
        raise ValueError(
            f"studies {arguments.studies}, seed {arguments.seed}; accepted are at least 2, and 0 "
            "or more"
        )
    names = (*_NUMBERS, *_SHARES)
    population = observers.Population(**{name: getattr(arguments, name) for name in names})
    if arguments.write is not None:
        study = observers.simulate_study(population, arguments.seed)
        write_whole(arguments.write, observers.to_csv(study.votes))
        print("true equivalent bitrates (kbit/s)")
        for condition, kbps in study.truth.items():
            print(f"{condition}: {kbps:.0f}")
        return
    options = Options(confidence=arguments.confidence, resamples=arguments.resamples)
    found = coverage.measure_coverage(
        population, arguments.studies, Rules(), options, arguments.seed
    )
    if arguments.json is not None:
        content = coverage.to_content(found, population)
        write_whole(arguments.json, json.dumps(content, indent=1, allow_nan=False) + "\n")
    print(coverage.to_text(found, population, arguments.confidence))
