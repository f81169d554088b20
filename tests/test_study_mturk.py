"""A study taken to Mechanical Turk and back."""

import csv
import re
import sqlite3

import pytest
from study_samples import make_study

from supervegan_jax.study import __main__ as study
from supervegan_jax.study.folder import read_plan
from supervegan_jax.study.mturk import import_results
from supervegan_jax.study.votes import other_side, read_votes

URL = "https://media.example.org/study"


@pytest.fixture
def folder(tmp_path):
    make_study(tmp_path / "s")
    return tmp_path / "s"


def export(folder, output):
    study.main(["export-mturk", str(folder), "--media-url", URL, "--output", str(output)])
    with open(output / "input.csv", newline="") as file:
        return list(csv.DictReader(file))


def result(row, worker, choices, **more):
    inputs = {f"Input.{name}": value for name, value in row.items()}
    return {
        "HITId": "3X",
        "WorkerId": worker,
        "AssignmentStatus": "Approved",
        "SubmitTime": "Tue Nov 24 10:00:00 PST 2020",
        **inputs,
        "Answer.choices": choices,
        **more,
    }


def write_results(path, rows):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_the_question_has_the_plans_variables_and_no_others(folder, tmp_path):
    rows = export(folder, tmp_path / "out")
    question = (tmp_path / "out" / "question.html").read_text()
    assert set(re.findall(r"\$\{(.*?)\}", question)) == set(rows[0])
    assert question.count("${") == len(rows[0])
    assert "{{" not in question
    assert question.isascii()  # whatever charset it is shown in
    assert f'data-media="{URL}/"' in question
    plan = read_plan(folder)
    assert len(rows) == len(plan.observers)
    for row, trials in zip(rows, plan.observers, strict=True):
        pairs = [plan.pairs[trial.pair] for trial in trials]
        lefts, rights = row["left"].split(), row["right"].split()
        for trial, pair, left, right in zip(trials, pairs, lefts, rights, strict=True):
            ours, theirs = (left, right) if trial.model_side == "left" else (right, left)
            assert (ours, theirs) == (pair.model_video, pair.reference_video)
        assert row["size"].split() == ["64x48"] * 20


def test_results_become_votes_under_pseudonyms_once(folder, tmp_path, capsys):
    rows = export(folder, tmp_path / "out")
    plan = read_plan(folder)
    # Ann always takes the network's video, in two HITs; Bob is rejected.
    ours = [" ".join(trial.model_side for trial in trials) for trials in plan.observers]
    path = write_results(
        tmp_path / "results.csv",
        [
            result(rows[2], "A1ANN", ours[2]),
            result(rows[0], "A1ANN", ours[0], SubmitTime="2020-11-24T10:00:00+02:00"),
            result(rows[1], "A2BOB", "", AssignmentStatus="Rejected"),
            result(rows[1], "A3EVE", " ".join(map(other_side, ours[1].split())), SubmitTime="?"),
        ],
    )
    for _ in range(2):
        study.main(["import-mturk", str(folder), str(path)])
    first, second = capsys.readouterr().out.splitlines()[-2:]
    assert "60 votes of 3 assignments added; 1 rejected assignments left out; 1 submit" in first
    assert "0 votes of 3 assignments added; 60 were there already; 1 rejected" in second
    votes = read_votes(folder)
    assert len(votes) == 60
    ann = [vote for vote in votes if vote.observer == votes[0].observer]
    assert [vote.trial for vote in ann] == [*range(41, 61), *range(1, 21)]
    assert {vote.prefer for vote in ann} == {"model"}
    assert {vote.prefer for vote in votes if vote not in ann} == {"reference"}
    assert [vote.pair for vote in ann[:20]] == [trial.pair for trial in plan.observers[2]]
    assert ann[0].given_at == "2020-11-24T18:00:00.000+00:00"
    assert ann[-1].given_at == "2020-11-24T08:00:00.000+00:00"
    database = sqlite3.connect(folder / "votes.sqlite")
    dump = "\n".join(database.iterdump())
    database.close()
    assert not any(name in dump for name in ("A1ANN", "A2BOB", "A3EVE"))
    # Another study's salt gives another pseudonym.
    make_study(tmp_path / "other")
    import_results(tmp_path / "other", path)
    assert not {v.observer for v in votes} & {v.observer for v in read_votes(tmp_path / "other")}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"WorkerId": " "}, "row 3: WorkerId is empty"),
        ({"Input.row": "99"}, "row 3: Input.row '99'; 0 to 12"),
        ({"Input.row": "-1"}, "row 3: Input.row '-1'; 0 to 12"),
        ({"Input.row": "0"}, "row 3: Input.left shows other videos than this study"),
        ({"Answer.choices": "left right"}, "row 3: Answer.choices 'left right'; 20 words"),
        ({"Answer.choices": "up " * 20}, "row 3: Answer.choices 'up"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_added(folder, tmp_path, changes, said):
    rows = export(folder, tmp_path / "out")
    good = result(rows[0], "A1", "left " * 20)
    bad = result(rows[1], "A2", "left " * 20) | changes
    path = write_results(tmp_path / "results.csv", [good, bad])
    with pytest.raises(ValueError, match=said):
        import_results(folder, path)
    assert not (folder / "votes.sqlite").exists()


def test_an_answer_that_has_changed_is_refused_and_nothing_is_added(folder, tmp_path):
    rows = export(folder, tmp_path / "out")
    import_results(folder, write_results(tmp_path / "a.csv", [result(rows[0], "A1", "left " * 20)]))
    again = [result(rows[1], "A1", "left " * 20), result(rows[0], "A1", "right " * 20)]
    with pytest.raises(ValueError, match="has chosen left in trial 1 before, now right"):
        import_results(folder, write_results(tmp_path / "b.csv", again))
    assert len(read_votes(folder)) == 20


def test_other_files_and_addresses_are_refused(folder, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("WorkerId,Input.row\na,1\n")
    with pytest.raises(ValueError, match=r"has no column Input\.left, Answer\.choices, or no row"):
        import_results(folder, path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is no CSV in UTF-8"):
        import_results(folder, path)
    for url in ("http://example.org", 'https://a"b', "https://${row}", "https://a b"):
        words = ["export-mturk", str(folder), "--media-url", url, "--output", str(tmp_path)]
        with pytest.raises(ValueError, match="an https address is accepted"):
            study.main(words)
