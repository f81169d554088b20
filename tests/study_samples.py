"""A small study without networks, and its server as a process."""

import contextlib
import functools
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from video_samples import ffmpeg

from supervegan_jax.study.design import Counts, draw_plans
from supervegan_jax.study.folder import MEDIA, Pair, Plan, write_plan

BITRATES = (150.0, 250.0, 350.0, 500.0, 750.0, 1000.0)


@functools.cache
def make_videos(size: str, seconds: float) -> list[bytes]:
    """Four MP4 files."""
    made = []
    for source in ("testsrc2", "smptebars", "testsrc", "mandelbrot"):
        pattern = f"{source}=size={size}:rate=25,format=yuv420p"
        output = ["-t", str(seconds), "-c:v", "libx264", "-preset", "ultrafast", "-crf", "20"]
        with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
            url = f"file:{file.name}"
            ffmpeg("-f", "lavfi", "-i", pattern, *output, "-movflags", "+faststart", url)
            made.append(Path(file.name).read_bytes())
    return made


def make_study(
    folder: Path,
    counts: Counts | None = None,
    size: str = "64x48",
    seconds: float = 1.0,
    watch_seconds: float = 0.0,
    pairs: int = 24,
) -> Plan:
    """Writes a folder of `pairs` pairs and two catch pairs, all of the same few videos."""
    (folder / MEDIA).mkdir(parents=True)
    width, height = map(int, size.split("x"))
    names = []
    for place, video in enumerate(make_videos(size, seconds)):
        names.append(f"{place:024x}.mp4")
        (folder / MEDIA / names[-1]).write_bytes(video)
    about = {"width": width, "height": height, "seconds": seconds}
    made = [
        Pair(
            id=f"pair{place}",
            clip="one" if place % 2 else "two",
            model="net",
            input_kbps=250.0 + place // 6,
            reference_kbps=BITRATES[place % 6],
            input_measured_kbps=251.0,
            reference_measured_kbps=BITRATES[place % 6] - 1,
            model_video=names[place % 2],
            reference_video=names[2 + place // 2 % 2],
            **about,
        )
        for place in range(pairs)
    ]
    made += [
        Pair(
            *(f"catch{place}", "one", "original", 0.0, 75.0, 0.0, 74.0, names[0], names[3]),
            **about,
            correct="model",
        )
        for place in range(2)
    ]
    counts = counts or Counts(trials=15, repeats=3, catches=2)
    plain = [pair.id for pair in made if pair.correct is None]
    caught = [pair.id for pair in made if pair.correct is not None]
    plan = Plan(
        {pair.id: pair for pair in made},
        draw_plans(plain, caught, counts, 5),
        watch_seconds,
        {"counts": {"votes_per_pair": counts.votes_per_pair}},
        dict.fromkeys(names, 47.0),
    )
    write_plan(folder, plan)
    return plan


class ServerProcess:
    """The command `serve`, started on a free port."""

    def __init__(self, folder: Path, *flags: str):
        command = [sys.executable, "-m", "supervegan_jax.study", "serve", str(folder), "--port=0"]
        # Output that nobody reads would block it; what it says besides is in a file.
        self._said = open(folder / "serve.log", "ab")  # noqa: SIM115 - it lives as long
        self.process = subprocess.Popen(
            [*command, *flags], stdout=subprocess.PIPE, stderr=self._said, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("the study: http://127.0.0.1:"), (folder / "serve.log").read_text()
        self.address = line.split()[-1].rstrip("/")
        self.port = int(self.address.rsplit(":", 1)[1])

    def stop(self, how: int = signal.SIGTERM) -> int:
        """Ends it; its exit code."""
        os.kill(self.process.pid, how)
        code = self.process.wait(30)
        self._said.close()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


@contextlib.contextmanager
def serving(folder: Path, *flags: str):
    """A `ServerProcess` that is ended at last."""
    server = ServerProcess(folder, *flags)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


class Voter:
    """A client that keeps its cookie, as a browser does."""

    def __init__(self, port: int):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.cookie = ""

    def ask(self, path: str, content: object = None, method: str = "", **headers: str):
        """Status, JSON body (or bytes) and headers of an answer."""
        sent = {"Cookie": self.cookie} if self.cookie else {}
        body = None
        if content is not None:
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            sent["Content-Type"] = "application/json"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        verb = method or ("GET" if content is None else "POST")
        self._connection.request(verb, path, body, sent)
        answer = self._connection.getresponse()
        data = answer.read()
        if (cookie := answer.getheader("Set-Cookie")) is not None:
            self.cookie = cookie.partition(";")[0]
        is_json = (answer.getheader("Content-Type") or "").startswith("application/json")
        return answer.status, json.loads(data) if is_json and data else data, answer.headers

    def begin(self) -> dict:
        """Takes part."""
        status, state, _ = self.ask("/api/begin", {"consent": True, "screen": [1920, 1080]})
        assert status == 200, state
        return state

    def vote(self, trial: int, choice: str):
        """Status and body."""
        return self.ask("/api/vote", {"trial": trial, "choice": choice})[:2]

    def vote_patiently(self, trial: int, choice: str) -> dict:
        """The state after a vote that waits as long as the server asks for."""
        while (answer := self.vote(trial, choice))[0] == 429:
            time.sleep(answer[1].get("retry_after", 0.25))
        assert answer[0] == 200, answer
        return answer[1]

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()
