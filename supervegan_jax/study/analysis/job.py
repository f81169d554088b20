"""An analysis from the votes' file to the results."""

from collections.abc import Sequence
from pathlib import Path

from supervegan_jax.rate_distortion.tables import read_points
from supervegan_jax.study.analysis import bradley_terry, equivalency, prediction
from supervegan_jax.study.analysis.ballots import make_ballots
from supervegan_jax.study.analysis.equivalency import Options
from supervegan_jax.study.analysis.results import Analysis
from supervegan_jax.study.analysis.screening import Rules, screen
from supervegan_jax.study.votes import read_votes


def analyse(
    path: Path,
    *,
    rules: Rules,
    options: Options,
    clips: Sequence[str] | None = None,
    run: Path | None = None,
    codec: str = "h264",
) -> Analysis:
    """Screens, fits, resamples and compares.

    Args:
      path: of the votes, see `read_votes`.
      rules: of the screening, which sees all votes.
      options: of the rest.
      clips: only these are analysed; None takes all.
      run: folder of a finished rate-distortion run of the same clips, models and bitrates.
      codec: which of that run's the references are.

    Raises:
      ValueError: the file holds no votes that can be analysed, or the run is of something else.
      OSError: a file cannot be read.
    """
    points = None if run is None else read_points(run / "rd.json")
    votes = read_votes(path)
    if not votes:
        raise ValueError(f"{path} holds no votes")
    screening = screen(votes, rules)
    if not screening.kept:
        raise ValueError(f"{path}: the screening drops all {len(screening.dropped)} observers")
    kept = set(screening.kept)
    ballots = make_ballots([vote for vote in votes if vote.observer in kept], clips)
    notes = []
    equivalencies = equivalency.find_equivalents(ballots, options)
    try:
        scores = bradley_terry.find_scores(ballots, options)
    except ValueError as error:
        scores = []
        notes.append(f"no Bradley-Terry scores: {error}")
    equivalents, predictions = {}, []
    if points is not None:
        notes += prediction.check_run(points, ballots, codec)
        equivalents = prediction.metric_equivalents(points, ballots, codec)
        predictions = prediction.predict(points, ballots, codec, options)
    return Analysis(
        options=options,
        screening=screening,
        observers=len(ballots.observers),
        clips=ballots.clips,
        votes=len(ballots.preferred),
        equivalencies=equivalencies,
        scores=scores,
        metric_equivalents=equivalents,
        predictions=predictions,
        notes=notes,
    )
