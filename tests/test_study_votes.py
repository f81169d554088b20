"""Votes read from SQLite and CSV, and what is refused."""

import csv
import sqlite3

import pytest

from supervegan_jax.study.votes import SCHEMA, Vote, read_votes

HEADER = "observer,clip,model,input_kbps,reference_kbps,prefer"


def written(folder, *lines):
    path = folder / "votes.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_csv_of_six_columns_fills_in_what_follows_from_them(tmp_path):
    path = written(
        tmp_path,
        HEADER + ",model_side",
        "ann,surf,net,350,750,model,left",
        "bob,surf,net,350,750,reference,",
        "ann,surf,net,350,1000,reference,left",
        "ann,surf,net,350,750,model,right",
    )
    first, other, second, again = read_votes(path)
    assert first == Vote(
        observer="ann",
        clip="surf",
        model="net",
        input_kbps=350,
        reference_kbps=750,
        prefer="model",
        trial=1,
        pair="surf/net@350/750",
        kind="plain",
        model_side="left",
        choice="left",
    )
    assert (other.trial, other.choice, other.kind) == (1, None, "plain")
    assert (second.trial, second.choice, second.kind) == (2, "right", "plain")
    assert (again.trial, again.pair, again.kind) == (3, first.pair, "repeat")


def test_a_full_csv_is_taken_as_it_is(tmp_path):
    fields = (
        *("observer", "clip", "model", "input_kbps", "reference_kbps", "prefer"),
        *("trial", "pair", "kind", "model_side", "choice", "correct", "given_at"),
    )
    vote = Vote(
        *("ann", "surf", "original", 0.0, 75.0, "reference", 7, "p3", "catch", "left", "right"),
        *("model", "2024-05-01T10:00:00Z"),
    )
    path = tmp_path / "votes.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(fields)
        writer.writerow([getattr(vote, name) for name in fields])
    assert read_votes(path) == [vote]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ann,surf,net,350,750,Model", r"line 2: prefer 'Model'; accepted: model, reference"),
        ("ann,surf,net,lots,750,model", r"line 2: input_kbps 'lots'; a number"),
        ("ann,surf,net,350,nan,model", r"line 2: reference_kbps nan; a number above 0"),
        ("ann,surf,net,0,750,model", r"line 2: input_kbps 0; a number above 0"),
        ("ann,surf,net,-5,750,model", r"line 2: input_kbps -5; a number above 0"),
        (",surf,net,350,750,model", r"line 2: observer is empty"),
        ("ann,surf,net,350,750", r"line 2: not 6 cells"),
        ("ann,surf,net,350,750,model,x", r"line 2: not 6 cells"),
    ],
)
def test_a_bad_row_is_named(tmp_path, line, said):
    with pytest.raises(ValueError, match=said):
        read_votes(written(tmp_path, HEADER, line))


@pytest.mark.parametrize(
    ("extra", "cell", "said"),
    [
        ("trial", "x", "trial 'x'; a whole number"),
        ("kind", "odd", "kind 'odd'; accepted: plain, repeat, catch"),
        ("kind", "catch", "correct None of kind catch"),
        ("correct", "model", "correct model of kind plain"),
        ("model_side", "top", "model_side 'top'; accepted: left, right"),
    ],
)
def test_a_bad_optional_cell_is_named(tmp_path, extra, cell, said):
    line = f"ann,surf,net,350,750,model,{cell}"
    with pytest.raises(ValueError, match=f"line 2: {said}"):
        read_votes(written(tmp_path, f"{HEADER},{extra}", line))


def test_a_contradiction_and_a_trial_given_twice_are_refused(tmp_path):
    head = f"{HEADER},trial,model_side,choice"
    with pytest.raises(ValueError, match="prefer 'model', but choice 'right' and the model was"):
        read_votes(written(tmp_path, head, "ann,surf,net,350,750,model,1,left,right"))
    line = "ann,surf,net,350,750,model,1,left,left"
    with pytest.raises(ValueError, match="line 3: trial 1 of observer 'ann' stands twice"):
        read_votes(written(tmp_path, head, line, line))


def test_files_that_hold_no_votes_are_told(tmp_path):
    with pytest.raises(ValueError, match="has no column prefer; needed are observer"):
        read_votes(written(tmp_path, HEADER.removesuffix(",prefer"), "ann,surf,net,350,750"))
    (tmp_path / "noise").write_bytes(bytes(range(128, 256)))
    with pytest.raises(ValueError, match="neither a study's SQLite file nor a CSV"):
        read_votes(tmp_path / "noise")
    sqlite3.connect(tmp_path / "other.sqlite").execute("CREATE TABLE things (x)").connection.close()
    with pytest.raises(ValueError, match="no such table: votes"):
        read_votes(tmp_path / "other.sqlite")
    with pytest.raises(OSError, match="No such file"):
        read_votes(tmp_path / "missing.csv")


def test_sqlite_is_read_while_another_connection_writes(tmp_path):
    path = tmp_path / "votes.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(SCHEMA)
    insert = (
        "INSERT INTO votes (observer, trial, pair, kind, clip, model, input_kbps, reference_kbps, "
        "model_side, choice, prefer, correct, given_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"
    )
    row = ("ann", 1, "p", "plain", "surf", "net", 350, 750, "left", "right", "reference", None, "t")
    connection.execute(insert, row)
    connection.commit()
    connection.execute(insert, ("ann", 2, *row[2:]))  # not committed
    (vote,) = read_votes(tmp_path)  # the folder stands for its file
    assert vote.trial == 1
    assert (vote.model_side, vote.choice, vote.prefer) == ("left", "right", "reference")
    connection.commit()
    assert [vote.trial for vote in read_votes(path)] == [1, 2]
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(insert, row)  # a trial is voted on once
    connection.close()
