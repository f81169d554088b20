"""A study on Amazon Mechanical Turk: the question and its input file, and the results back.

Each line of the input file, and so each HIT, is one observer's plan of the study. A worker may take
several; trials are counted on from plan to plan, so that none is taken for another.
"""

import csv
import datetime
import hashlib
import hmac
import html
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from supervegan_jax.study.ballot_box import BallotBox, now
from supervegan_jax.study.folder import SALT, Plan, keep_secret, read_plan
from supervegan_jax.study.page import read_page
from supervegan_jax.study.votes import SIDES, Vote

QUESTION, INPUT = "question.html", "input.csv"
COLUMNS: Final = ("row", "left", "right", "size", "watch")
_NEEDED: Final = ("WorkerId", "Input.row", "Input.left", "Answer.choices")
_ZONES: Final = {"PST": -8, "PDT": -7, "UTC": 0, "GMT": 0}


def export(folder: Path, media_url: str, output: Path) -> list[str]:
    """Writes question.html and input.csv.

    Args:
      folder: of a prepared study.
      media_url: the address of a folder that holds the files of media/.
      output: the folder to write into.

    Returns:
      Lines to print.

    Raises:
      ValueError: no study, or no https address.
      OSError: the folder cannot be written.
    """
    from supervegan_jax.evaluation.results import write_whole

    plan = read_plan(folder)
    if not re.fullmatch(r"https://[^\s\"'<>${}]+", media_url):
        raise ValueError(f"media url {media_url!r}; an https address is accepted")
    question = read_page("mturk.html")
    for name in ("study.css", "ballot.js", "mturk.js"):
        question = question.replace("{{" + name + "}}", read_page(name).strip())
    address = html.escape(media_url.rstrip("/") + "/")
    output.mkdir(parents=True, exist_ok=True)
    write_whole(output / QUESTION, question.replace("{{media}}", address))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in range(len(plan.observers)):
        writer.writerow([_cells(plan, row)[name] for name in COLUMNS])
    write_whole(output / INPUT, text.getvalue())
    return [
        f"written: {output / QUESTION}, {output / INPUT} ({len(plan.observers)} HITs)",
        "one assignment a HIT: the plan shows every pair as often as wanted already",
    ]


def _cells(plan: Plan, row: int) -> dict[str, str]:
    """A line of the input file: words of one trial each, with blanks between them."""
    trials = plan.observers[row]
    pairs = [plan.pairs[trial.pair] for trial in trials]
    sides = [pair.videos(trial.model_side) for pair, trial in zip(pairs, trials, strict=True)]
    return {
        "row": str(row),
        "left": " ".join(left for left, _ in sides),
        "right": " ".join(right for _, right in sides),
        "size": " ".join(f"{pair.width}x{pair.height}" for pair in pairs),
        "watch": " ".join(f"{plan.watched(pair):g}" for pair in pairs),
    }


def import_results(folder: Path, results: Path) -> str:
    """Adds the votes of a result file, all or none; those known already change nothing.

    Args:
      folder: of the study that was exported.
      results: CSV as Mechanical Turk gives it. Rejected assignments are left out.

    Returns:
      A line that tells what was added.

    Raises:
      ValueError: another file, another study's, or a row that is not accepted; it names the row.
      OSError: a file cannot be read or written.
    """
    plan = read_plan(folder)
    salt = keep_secret(folder, SALT)
    try:
        with open(results, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{results} is no CSV in UTF-8: {error}") from None
    missing = [name for name in _NEEDED if not rows or name not in rows[0]]
    if missing:
        raise ValueError(f"{results} has no column {', '.join(missing)}, or no row")
    taken = [(number, row) for number, row in enumerate(rows, start=2) if not _is_rejected(row)]
    votes: list[Vote] = []
    for number, row in taken:
        try:
            votes += _votes(plan, row, salt)
        except ValueError as error:
            raise ValueError(f"{results}, row {number}: {error}") from None
    box = BallotBox(folder)
    try:
        new, known = box.add(votes)
    except ValueError as error:
        raise ValueError(f"{results}: {error}") from None
    finally:
        box.close()
    rejected = len(rows) - len(taken)
    unread = sum(_utc(row.get("SubmitTime") or "") is None for _, row in taken)
    parts = [f"{results}: {new} votes of {len(taken)} assignments added"]
    if known:
        parts.append(f"{known} were there already")
    if rejected:
        parts.append(f"{rejected} rejected assignments left out")
    if unread:
        parts.append(f"{unread} submit times could not be read, the time of import stands for them")
    return "; ".join(parts)


def _is_rejected(row: dict[str, str]) -> bool:
    return (row.get("AssignmentStatus") or "").strip().lower() == "rejected"


def _votes(plan: Plan, row: dict[str, str], salt: str) -> Iterator[Vote]:
    worker, place = (row["WorkerId"] or "").strip(), (row["Input.row"] or "").strip()
    if not worker:
        raise ValueError("WorkerId is empty")
    if not place.isascii() or not place.isdecimal() or int(place) >= len(plan.observers):
        raise ValueError(f"Input.row {place!r}; 0 to {len(plan.observers) - 1} is accepted")
    number = int(place)
    if (row["Input.left"] or "").split() != _cells(plan, number)["left"].split():
        raise ValueError("Input.left shows other videos than this study")
    trials = plan.observers[number]
    choices = (row["Answer.choices"] or "").split()
    if len(choices) != len(trials) or not set(choices) <= set(SIDES):
        raise ValueError(
            f"Answer.choices {row['Answer.choices']!r}; {len(trials)} words left or right are "
            "accepted"
        )
    before = sum(len(plan.observers[earlier]) for earlier in range(number))
    given_at = _utc(row.get("SubmitTime") or "") or now()
    observer = hmac.new(salt.encode(), worker.encode(), hashlib.sha256).hexdigest()[:20]
    for index, (trial, choice) in enumerate(zip(trials, choices, strict=True), start=1):
        yield plan.vote(observer, before + index, trial, choice, given_at)


def _utc(text: str) -> str | None:
    """A submit time as it is stored: "Tue Nov 24 10:00:00 PST 2020" of the site, or ISO 8601."""
    words = text.split()
    try:
        if len(words) == 6 and words[4] in _ZONES:
            plain = " ".join(words[:4] + words[5:])
            zone = datetime.timezone(datetime.timedelta(hours=_ZONES[words[4]]))
            at = datetime.datetime.strptime(plain, "%a %b %d %H:%M:%S %Y").replace(tzinfo=zone)
        else:
            at = datetime.datetime.fromisoformat(text)
            if at.tzinfo is None:
                return None
    except ValueError:
        return None
    return at.astimezone(datetime.UTC).isoformat(timespec="milliseconds")
