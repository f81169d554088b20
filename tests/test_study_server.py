"""The study's server as a process: what it serves, which votes count, what it refuses."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from starlette.exceptions import HTTPException
from study_samples import ServerProcess, Voter, make_study, serving

from supervegan_jax.study.design import Counts
from supervegan_jax.study.folder import keep_secret, read_plan
from supervegan_jax.study.server.guard import HEADERS, RateLimit, pseudonym, same_secret
from supervegan_jax.study.votes import read_votes

MANY = ("--enter-per-minute=100000",)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies") / "one"
    make_study(folder)
    return folder


@pytest.fixture(scope="module")
def server(study):
    with serving(study, *MANY) as running:
        yield running


@pytest.fixture
def voter(server):
    client = Voter(server.port)
    yield client
    client.close()


def votes_of(folder, voter):
    observer = pseudonym(voter.cookie.partition("=")[2])
    return [vote for vote in read_votes(folder) if vote.observer == observer]


def test_a_vote_is_what_the_observers_plan_says(study, server, voter):
    state = voter.begin()
    plan = read_plan(study)
    with contextlib.closing(sqlite3.connect(study / "votes.sqlite")) as database:
        (place,) = database.execute(
            "SELECT place FROM observers WHERE observer = ?",
            (pseudonym(voter.cookie.partition("=")[2]),),
        ).fetchone()
    trials = plan.trials(place)
    choices = ["left", "right", "right", "left"] * 5
    for number, (trial, choice) in enumerate(zip(trials, choices, strict=True), start=1):
        pair = plan.pairs[trial.pair]
        shown = state["trial"]
        model, reference = (f"/media/{pair.model_video}", f"/media/{pair.reference_video}")
        assert shown["number"] == number == state["done"] + 1
        assert shown[trial.model_side] == model
        assert {shown["left"], shown["right"]} == {model, reference}
        following = voter.vote_patiently(number, choice)
        assert following["trial"] == state["next"]
        state = following
        vote = votes_of(study, voter)[-1]
        assert (vote.trial, vote.pair, vote.kind, vote.choice) == (
            number,
            trial.pair,
            trial.kind,
            choice,
        )
        assert vote.prefer == ("model" if choice == trial.model_side else "reference")
        assert (vote.clip, vote.model) == (pair.clip, pair.model)
        assert (vote.input_kbps, vote.reference_kbps) == (pair.input_kbps, pair.reference_kbps)
        assert vote.correct == pair.correct
    assert state == {"done": 20, "total": 20, "trial": None, "next": None}
    time.sleep(0.3)  # else it is told to go slower
    assert voter.vote(21, "left")[0] == 409


def test_what_the_page_gets_does_not_tell_the_pairs_apart(voter):
    text = json.dumps(voter.begin())
    for word in ("net", "kbps", "model", "reference", "kind", "catch", "pair"):
        assert word not in text


def test_coming_back_goes_on_and_the_same_answer_again_changes_nothing(study, server, voter):
    voter.begin()
    assert voter.vote(1, "left")[0] == 200
    again = Voter(server.port)
    again.cookie = voter.cookie
    assert again.ask("/api/state")[1]["trial"]["number"] == 2
    assert again.ask("/api/begin", {"consent": True, "screen": [1920, 1080]})[1]["done"] == 1
    assert again.vote(1, "left")[0] == 200  # its first answer may have got lost
    assert again.vote(1, "right")[0] == 409
    assert [vote.choice for vote in votes_of(study, voter)] == ["left"]
    again.close()


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ({"trial": 2, "choice": "left"}, 409),
        ({"trial": 0, "choice": "left"}, 409),
        ({"trial": -1, "choice": "left"}, 409),
        ({"trial": True, "choice": "left"}, 400),
        ({"trial": 1.0, "choice": "left"}, 400),
        ({"trial": "1", "choice": "left"}, 400),
        ({"trial": 1, "choice": "both"}, 400),
        ({"trial": 1, "choice": ["left"]}, 400),
        ({"trial": 1}, 400),
        ([1], 400),
        (b"{", 400),
        (b"\xff", 400),
        (b"[" * 2000, 400),
        ({"trial": 1, "choice": "left", "more": "x" * 3000}, 413),
    ],
)
def test_answers_that_make_no_sense_are_refused(study, voter, content, status):
    voter.begin()
    found = voter.ask("/api/vote", content)
    assert found[0] == status
    assert set(found[1]) == {"error"}
    assert votes_of(study, voter) == []


def test_strangers_and_small_screens_are_refused(voter):
    assert voter.vote(1, "left")[0] == 401
    voter.cookie = "observer=" + "x" * 43
    assert voter.vote(1, "left")[0] == 401
    assert voter.ask("/api/state")[1]["done"] is None
    for content in (
        {"consent": False, "screen": [1920, 1080]},
        {"consent": 1, "screen": [1920, 1080]},
        {"consent": True},
        {"consent": True, "screen": [1280, 799]},
        {"consent": True, "screen": [1279, 800]},
        {"consent": True, "screen": ["1920", "1080"]},
    ):
        assert voter.ask("/api/begin", content)[0] == 400, content
    turned = {"consent": True, "screen": [800, 1280]}
    assert voter.ask("/api/begin", turned)[0] == 200


def test_other_sites_cannot_vote_for_an_observer(server, voter):
    voter.begin()
    vote = {"trial": 1, "choice": "left"}
    assert voter.ask("/api/vote", vote, Origin="https://evil.example")[0] == 403
    assert voter.ask("/api/vote", vote, Origin="null")[0] == 403
    assert voter.ask("/api/vote", vote, Content_Type="text/plain")[0] == 415
    assert voter.ask("/api/vote", vote, Origin=server.address)[0] == 200


def test_a_vote_before_both_videos_can_have_been_watched_is_refused(tmp_path):
    make_study(tmp_path / "s", watch_seconds=0.6)
    with serving(tmp_path / "s") as server:
        voter = Voter(server.port)
        voter.begin()
        begun = time.monotonic()
        status, body = voter.vote(1, "left")
        assert status == 429
        assert 0 < body["retry_after"] < 0.6
        while status == 429:
            time.sleep(body["retry_after"] + 0.01)
            status, body = voter.vote(1, "left")
        assert status == 200
        assert time.monotonic() - begun > 0.5
        assert voter.vote(2, "left")[0] == 429  # the next one's time begins anew
        voter.close()


def test_every_answer_has_the_security_headers(server, voter):
    for path in ("/", "/admin", "/static/study.js", "/api/state", "/nothing", "/api/progress"):
        _, _, headers = voter.ask(path)
        for name, value in HEADERS.items():
            assert headers[name] == value, (path, name)
        assert headers["Server"] is None
    voter.begin()
    _, _, headers = voter.ask("/api/state", None, Cookie="")
    assert "unsafe" not in headers["Content-Security-Policy"]
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    body = json.dumps({"consent": True, "screen": [1920, 1080]})
    connection.request("POST", "/api/begin", body, {"Content-Type": "application/json"})
    cookie = connection.getresponse().getheader("Set-Cookie")
    connection.close()
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Secure" not in cookie


def test_pages_have_nothing_inline_and_name_nothing_elsewhere(voter):
    for path in ("/", "/admin", "/static/study.css", "/static/ballot.js", "/static/study.js"):
        status, body, _ = voter.ask(path)
        text = body.decode()
        assert status == 200
        assert "http:" not in text and "https:" not in text and "//cdn" not in text
        assert " style=" not in text and " onclick=" not in text and "<script>" not in text
        assert "innerHTML" not in text and "eval(" not in text


@pytest.mark.parametrize(
    "path",
    [
        "/plan.json",
        "/media/../plan.json",
        "/media/..%2fplan.json",
        "/media/%2e%2e/plan.json",
        "/media/%2e%2e%2fadmin.token",
        "/media/..%5cadmin.token",
        "/media/....//admin.token",
        "/media//etc/passwd",
        "/media/%2fetc%2fpasswd",
        "/media/%00",
        "/media/.",
        "/media/",
        "/media/votes.sqlite",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/index.html",
        "/../../etc/passwd",
        "//etc/passwd",
        "/media/000000000000000000000000.mp4/",
        "/media/000000000000000000000000.mp4%00",
    ],
)
def test_no_path_leads_out_of_what_is_listed(server, path):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as plain:
        plain.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: plain.recv(65536), b""))
    status = int(answer.split()[1])
    assert status in (404, 307), answer[:200]
    if status == 307:  # a slash too many: back to where the answer is known
        assert b"location: http://x/media/000000000000000000000000.mp4\r\n" in answer


def test_links_are_not_followed(tmp_path):
    folder = tmp_path / "s"
    make_study(folder)
    (tmp_path / "secret").write_text("secret")
    video = folder / "media" / "000000000000000000000000.mp4"
    with serving(folder) as server:
        voter = Voter(server.port)
        assert voter.ask(f"/media/{video.name}")[0] == 200
        video.unlink()
        video.symlink_to(tmp_path / "secret")
        assert voter.ask(f"/media/{video.name}")[0] == 404
        video.unlink()
        assert voter.ask(f"/media/{video.name}")[0] == 404
        voter.close()
    video.symlink_to(tmp_path / "secret")
    done = command("serve", str(folder))
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {video} is no file")


def test_ranges_of_a_video_are_those_of_the_file(study, voter):
    name = "000000000000000000000000.mp4"
    data = (study / "media" / name).read_bytes()
    status, body, headers = voter.ask(f"/media/{name}")
    assert (status, body, headers["Content-Type"]) == (200, data, "video/mp4")
    assert headers["Accept-Ranges"] == "bytes"
    for asked, first, last in (("0-9", 0, 9), ("100-", 100, len(data) - 1), ("-7", -7, -1)):
        status, body, headers = voter.ask(f"/media/{name}", Range=f"bytes={asked}")
        first, last = first % len(data), last % len(data)
        assert (status, body) == (206, data[first : last + 1])
        assert headers["Content-Range"] == f"bytes {first}-{last}/{len(data)}"
    status, _, headers = voter.ask(f"/media/{name}", Range=f"bytes={len(data)}-")
    assert (status, headers["Content-Range"]) == (416, f"bytes */{len(data)}")


def test_progress_needs_the_token_and_counts(tmp_path):
    folder = tmp_path / "s"
    make_study(folder)
    with serving(folder) as server:
        voter = Voter(server.port)
        assert voter.ask("/api/progress")[0] == 401
        for wrong in ("Bearer ", "Bearer wrong", "Basic x"):
            assert voter.ask("/api/progress", Authorization=wrong)[0] == 401
        token = (folder / "admin.token").read_text().strip()
        assert oct((folder / "admin.token").stat().st_mode & 0o777) == "0o600"
        voter.begin()
        plan = read_plan(folder)
        for number, trial in enumerate(plan.observers[0], start=1):
            voter.vote_patiently(number, trial.model_side if number <= 18 else "left")
        other = Voter(server.port)
        other.begin()
        other.close()
        status, found, _ = voter.ask("/api/progress", Authorization=f"Bearer {token}")
        assert status == 200
        assert (found["observers"], found["finished"]) == (2, 1)
        assert (found["votes"], found["planned_votes"]) == (20, 20 * len(plan.observers))
        assert found["pair_votes"]["fewest"] == 0 and found["pair_votes"]["most"] == 1
        assert sum(row["votes"] for row in found["conditions"]) == 15
        votes = read_votes(folder)
        assert found["left_chosen"] == sum(v.choice == "left" for v in votes) / 20
        right = [v.prefer == v.correct for v in votes if v.kind == "catch"]
        assert found["catches_right"] == sum(right) / 2
        # Guessing goes no further than a few tries; the right token always works.
        statuses = {
            voter.ask("/api/progress", Authorization=f"Bearer {guess}")[0] for guess in range(9)
        }
        assert statuses == {401, 429}
        assert voter.ask("/api/progress", Authorization=f"Bearer {token}")[0] == 200
        voter.close()


def test_one_address_lets_in_so_many_observers_a_minute(tmp_path):
    make_study(tmp_path / "s")
    with serving(tmp_path / "s", "--enter-per-minute=3") as server:
        statuses = []
        for _ in range(5):
            voter = Voter(server.port)
            content = {"consent": True, "screen": [1920, 1080]}
            statuses.append(voter.ask("/api/begin", content)[0])
            voter.close()
        assert statuses == [200, 200, 200, 429, 429]


def test_a_bucket_fills_up_steadily():
    at = [0.0]
    limit = RateLimit(2.0, 3.0, clock=lambda: at[0])
    for _ in range(3):
        limit.check("a")
    with pytest.raises(HTTPException) as told:
        limit.check("a")
    assert told.value.status_code == 429
    assert told.value.headers["retry-after"] == "1"
    limit.check("b")
    at[0] = 0.5
    limit.check("a")
    with pytest.raises(HTTPException):
        limit.check("a")
    at[0] = 100.0
    for _ in range(3):
        limit.check("a")
    with pytest.raises(HTTPException):
        limit.check("a")


def test_secrets_are_compared_whole():
    assert same_secret("é", "é")
    assert not same_secret("abc", "abcd")
    assert not same_secret("", "abcd")


def test_kept_observers_cannot_be_told_from_their_cookies_nor_the_other_way(study, voter):
    voter.begin()
    voter.vote(1, "left")
    token = voter.cookie.partition("=")[2]
    assert len(token) == 43
    database = sqlite3.connect(study / "votes.sqlite")
    dump = "\n".join(database.iterdump())
    database.close()
    assert token not in dump
    assert "127.0.0.1" not in dump
    # Twenty random digits may hold it by chance.
    assert "1920" not in re.sub(r"'[0-9a-f]{20}'", "", dump)
    assert pseudonym(token) in dump


def vote_all(port: int, length: int, done: list, place: int) -> None:
    """A voter who goes on through refusals for haste, and remembers what was acknowledged."""
    voter = Voter(port)
    try:
        voter.begin()
        for number in range(1, length + 1):
            choice = "left" if (number + place) % 2 else "right"
            voter.vote_patiently(number, choice)
            done.append((pseudonym(voter.cookie.partition("=")[2]), number, choice))
    finally:
        voter.close()


def run_voters(port: int, voters: int, length: int) -> list:
    done: list = []
    threads = [
        threading.Thread(target=vote_all, args=(port, length, done, place))
        for place in range(voters)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done


@pytest.mark.slow
def test_two_hundred_voters_at_once_lose_no_vote(tmp_path):
    folder = tmp_path / "s"
    make_study(folder, Counts(trials=15, repeats=3, catches=2, votes_per_pair=125))
    with serving(folder, *MANY) as server:
        done = run_voters(server.port, 200, 20)
    assert len(done) == 4000
    votes = read_votes(folder)
    assert {(v.observer, v.trial, v.choice) for v in votes} == set(done)
    assert len(votes) == 4000
    assert len({v.observer for v in votes}) == 200
    shown = {}
    for vote in votes:
        if vote.kind == "plain":
            shown[vote.pair] = shown.get(vote.pair, 0) + 1
    assert set(shown.values()) == {125}  # each observer had a plan of his own


def test_twenty_voters_at_once_lose_no_vote(tmp_path):
    folder = tmp_path / "s"
    make_study(folder)
    with serving(folder, *MANY) as server:
        done = run_voters(server.port, 20, 10)
    assert {(v.observer, v.trial, v.choice) for v in read_votes(folder)} == set(done)
    assert len(done) == 200


def test_killed_it_has_kept_every_vote_it_acknowledged(tmp_path):
    folder = tmp_path / "s"
    make_study(folder)
    kept: list = []
    cookie = ""
    for _ in range(2):
        server = ServerProcess(folder, *MANY)
        acknowledged: list = []
        voter = Voter(server.port)
        voter.cookie = cookie
        state = voter.ask("/api/state")[1] if cookie else voter.begin()
        assert state["done"] == (3 if cookie else 0)  # who was interrupted goes on
        for number in range(state["done"] + 1, state["done"] + 4):
            voter.vote_patiently(number, "left")
            acknowledged.append((pseudonym(voter.cookie.partition("=")[2]), number, "left"))
        cookie = voter.cookie
        voter.close()

        def vote(server=server, acknowledged=acknowledged) -> None:
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                vote_all(server.port, 20, acknowledged, 0)  # until the server is gone

        threads = [threading.Thread(target=vote) for _ in range(8)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 60
        while len(acknowledged) < 30:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
        for thread in threads:
            thread.join()
        kept += acknowledged
        found = {(v.observer, v.trial, v.choice) for v in read_votes(folder)}
        assert set(kept) <= found
        # At most the one answer of each voter that was on its way.
        assert len(found) - len(kept) <= 8 * 2
        database = sqlite3.connect(folder / "votes.sqlite")
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        database.close()


def command(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "supervegan_jax.study", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_wrong_use_is_one_line(tmp_path, study, server):
    for words, said in (
        (("serve", str(tmp_path)), f"error: {tmp_path} holds no study"),
        (("serve", str(study), "--port=99999"), "error: port 99999; 0 to 65535"),
        (("serve", str(study), f"--port={server.port}"), "error: cannot listen at 127.0.0.1:"),
        (("serve", str(study), "--enter-per-minute=0"), "error: enter per minute 0; at least 1"),
    ):
        done = command(*words)
        assert done.returncode == 2
        assert done.stderr.startswith(said)
        assert done.stderr.count("\n") == 1


def test_a_missing_package_is_named(tmp_path, study, monkeypatch):
    (tmp_path / "starlette.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'starlette'\", name='starlette')\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    done = command("serve", str(study))
    assert done.returncode == 2
    assert done.stderr == (
        "error: serve needs the package starlette: pip install 'supervegan_jax[study]'\n"
    )


def test_a_damaged_folder_is_told(tmp_path, study):
    folder = tmp_path / "s"
    shutil.copytree(study, folder)
    (folder / "admin.token").write_text("short\n")
    with pytest.raises(ValueError, match=r"admin\.token is damaged"):
        keep_secret(folder, "admin.token")
    plan = json.loads((folder / "plan.json").read_text())
    plan["pairs"][0]["model_video"] = "../votes.sqlite"
    (folder / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(ValueError, match=r"plan.json is damaged: video '../votes.sqlite'"):
        read_plan(folder)
    (folder / "plan.json").write_text("{")
    with pytest.raises(ValueError, match="is damaged"):
        read_plan(folder)
