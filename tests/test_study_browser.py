"""The study's page in a real Chromium, from the explanation to the last of 20 pairs.

Skipped where there is no Chromium or no playwright: pip install playwright, and a chromium,
google-chrome or chromium-browser on the path. Nothing is downloaded.
"""

import contextlib
import csv
import re
import shutil
from pathlib import Path

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from playwright.sync_api import sync_playwright
from study_samples import Voter, make_study, serving
from test_report_page import contrast

from supervegan_jax.study.folder import read_plan
from supervegan_jax.study.mturk import export, import_results
from supervegan_jax.study.votes import read_votes

NAMES = ("chromium", "google-chrome", "chromium-browser")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-sandbox"),
)
WINDOW = {"width": 1280, "height": 640}
SCREEN = {"width": 1280, "height": 800}
SHOWN = "[...document.querySelectorAll('.pair:not(.waiting) video')]"
READY = ".answers button[aria-disabled=false]"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason=f"none of {', '.join(NAMES)} is installed"),
]


@pytest.fixture(scope="module")
def engine():
    with sync_playwright() as driver:
        yield driver.chromium


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies") / "one"
    make_study(folder, size="632x480", seconds=1.2, watch_seconds=0.6)
    return folder


@pytest.fixture(scope="module")
def server(study):
    with serving(study) as running:
        yield running


@contextlib.contextmanager
def a_browser(engine, profile: Path, **options):
    """A browser that keeps its cookies in `profile`, and what went wrong in its pages."""
    options = {"viewport": WINDOW, "screen": SCREEN, **options}
    context = engine.launch_persistent_context(
        profile, executable_path=CHROMIUM, headless=True, args=list(FLAGS), **options
    )
    context.set_default_timeout(20_000)
    wrong: list[str] = []
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else 0)
    # The page lets go of videos that have been voted on, whether all of them was loaded or not.
    context.on(
        "requestfailed",
        lambda r: wrong.append(f"{r.url}: {r.failure}") if r.failure != "net::ERR_ABORTED" else 0,
    )
    try:
        yield context, wrong
    finally:
        context.close()


def open_page(context, server, path: str = "/"):
    page = context.pages[0] if context.pages else context.new_page()
    page.goto(server.address + path)
    return page


def begin(page) -> None:
    page.wait_for_selector("#begin", state="visible")
    page.check("#consent")
    page.click("#begin")
    page.wait_for_selector(SHOWN_CSS)


SHOWN_CSS = ".pair:not(.waiting) video"


def count(page) -> str:
    return page.text_content(".count")


def wait_for_trial(page, number: int) -> None:
    page.wait_for_function(
        "n => document.querySelector('.count').textContent.startsWith(`${n} of`)", arg=number
    )


def test_a_person_votes_through_twenty_pairs_closes_the_tab_and_returns(
    engine, study, server, tmp_path
):
    plan = read_plan(study)
    profile = tmp_path / "profile"
    chosen = []

    def answer(page, number: int) -> None:
        wait_for_trial(page, number)
        page.wait_for_selector(READY)
        side = ("left", "right", "right")[number % 3]
        chosen.append(side)
        match number % 5:
            case 0:
                page.keyboard.press("1" if side == "left" else "2")
            case 1:
                page.keyboard.press("ArrowLeft" if side == "left" else "ArrowRight")
            case 2:
                page.tap(f"[data-side={side}]")
            case 3:
                page.focus(f"[data-side={side}]")
                page.keyboard.press("Enter")
            case _:
                page.click(f"[data-side={side}]")

    with a_browser(engine, profile, has_touch=True) as (context, wrong):
        page = open_page(context, server)
        begin(page)
        page.screenshot(path=tmp_path / "vote.png")
        for number in range(1, 9):
            answer(page, number)
        wait_for_trial(page, 9)
        page.close()
        assert wrong == []
    # The browser is started anew, as on another day.
    with a_browser(engine, profile, has_touch=True) as (context, wrong):
        page = open_page(context, server)
        page.wait_for_selector("#resume", state="visible")
        assert page.text_content("#done") == "8 of 20"
        page.keyboard.press("Enter")  # the button has the focus
        for number in range(9, 21):
            answer(page, number)
        page.wait_for_selector("#thanks", state="visible")
        page.reload()
        page.wait_for_selector("#thanks", state="visible")
        assert wrong == []
    votes = read_votes(study)
    first = [vote for vote in votes if vote.observer == votes[0].observer]
    assert [vote.trial for vote in first] == list(range(1, 21))
    assert [vote.choice for vote in first] == chosen
    trials = plan.trials(0)
    assert [vote.pair for vote in first] == [trial.pair for trial in trials]
    assert [vote.model_side for vote in first] == [trial.model_side for trial in trials]


def test_both_videos_play_in_step_in_a_loop_and_the_next_pair_is_ready(engine, server, tmp_path):
    with a_browser(engine, tmp_path) as (context, wrong):
        page = open_page(context, server)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        begin(page)
        # Every frame for three rounds: how far apart the two are, and how often they began anew.
        found = page.evaluate(
            f"""() => new Promise((done) => {{
              const apart = []; let rounds = 0; let last = 0; const from = performance.now();
              const look = () => {{
                const [left, right] = {SHOWN};
                if (!left.paused && !right.paused) {{
                  apart.push(Math.abs(left.currentTime - right.currentTime));
                }}
                if (left.currentTime < last - 0.5) rounds += 1;
                last = left.currentTime;
                if (rounds < 3 && performance.now() - from < 15000) requestAnimationFrame(look);
                else done({{apart, rounds}});
              }};
              look();
            }})"""
        )
        assert found["rounds"] == 3
        assert len(found["apart"]) > 20
        apart = sorted(found["apart"])
        assert apart[len(apart) * 9 // 10] < 0.08  # two frames of 25 a second
        page.wait_for_function(
            "[...document.querySelectorAll('.pair.waiting video')].every(v => v.readyState >= 3)"
        )
        waiting = page.evaluate(
            "[...document.querySelectorAll('.pair.waiting video')].map(v => v.src)"
        )
        assert len(waiting) == 2
        assert set(waiting) <= set(asked)
        page.keyboard.press("1")
        wait_for_trial(page, 2)
        assert page.evaluate(f"{SHOWN}.map(v => v.src)") == waiting
        assert page.evaluate(f"{SHOWN}.every(v => v.muted && v.readyState >= 2)")
        assert wrong == []


def test_a_vote_needs_both_videos_watched_and_space_pauses(engine, server, tmp_path):
    with a_browser(engine, tmp_path, reduced_motion="reduce") as (context, wrong):
        page = open_page(context, server)
        begin(page)
        # Who asked for less motion sees none before asking for it.
        page.wait_for_timeout(1200)
        assert page.evaluate(f"{SHOWN}.every(v => v.paused && v.currentTime === 0)")
        assert "Press Play" in page.text_content(".status")
        page.keyboard.press("1")
        page.click("[data-side=left]", force=True)
        assert count(page) == "1 of 20"
        page.keyboard.press("Shift+Tab")
        assert page.evaluate("document.activeElement.textContent") == "Play"
        page.keyboard.press("Space")
        page.wait_for_selector(READY)
        assert "You can answer now" in page.text_content("[role=status]")
        page.keyboard.press("Space")
        assert page.evaluate(f"{SHOWN}.every(v => v.paused)")
        page.keyboard.press("Control+1")  # the browser's own shortcut is no vote
        assert count(page) == "1 of 20"
        page.keyboard.press("1")
        wait_for_trial(page, 2)
        assert wrong == []


def test_small_screens_and_windows_are_told(engine, server, tmp_path):
    small = {"viewport": {"width": 1024, "height": 600}, "screen": {"width": 1024, "height": 768}}
    with a_browser(engine, tmp_path / "small", **small) as (context, wrong):
        page = open_page(context, server)
        page.wait_for_selector("#screen", state="visible")
        assert "1024 x 768" in page.text_content("#screen")
        page.check("#consent")
        page.click("#begin", force=True)
        page.wait_for_timeout(300)
        assert page.is_visible("#intro")
        assert wrong == []
    with a_browser(engine, tmp_path / "large") as (context, wrong):
        page = open_page(context, server)
        begin(page)
        page.set_viewport_size({"width": 1100, "height": 640})
        page.wait_for_selector(".small", state="visible")
        page.keyboard.press("1")
        assert "needs 1272 x 612 pixels and has 1100 x 640" in page.text_content(".small")
        assert page.evaluate(f"{SHOWN}.every(v => v.paused)")
        page.set_viewport_size({"width": 1272, "height": 612})
        page.wait_for_selector(READY)
        assert count(page) == "1 of 20"
        # Nothing has to be scrolled at the least size.
        over = "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
        assert page.evaluate(over) == [1272, 612]
        assert page.evaluate(f"{SHOWN}.map(v => [v.clientWidth, v.clientHeight])") == [
            [632, 480],
            [632, 480],
        ]
        assert wrong == []


def test_a_vote_given_while_the_server_is_away_arrives(engine, tmp_path):
    folder = tmp_path / "s"
    make_study(folder, size="632x480", seconds=1.2, watch_seconds=0.3)
    with a_browser(engine, tmp_path / "profile") as (context, _):
        with serving(folder) as server:
            page = open_page(context, server)
            begin(page)
            page.wait_for_selector(READY)
        page.keyboard.press("2")
        page.wait_for_selector("#problem", state="visible")
        assert "is kept here" in page.text_content("#problem")
        with serving(folder, f"--port={server.port}"):
            wait_for_trial(page, 2)
            assert not page.is_visible("#problem")
    (vote,) = read_votes(folder)
    assert (vote.trial, vote.choice) == (1, "right")


def test_everything_has_a_name_the_keyboard_reaches_it_and_stands_out(engine, server, tmp_path):
    with a_browser(engine, tmp_path) as (context, wrong):
        page = open_page(context, server)
        page.wait_for_selector("#begin", state="visible")
        assert page.evaluate("document.documentElement.lang") == "en"
        page.screenshot(path=tmp_path / "intro.png")
        # One screen: at the least size all of it is seen.
        assert page.evaluate("document.documentElement.scrollHeight") <= WINDOW["height"]
        page.get_by_role("checkbox", name=re.compile("I take part of my own free will")).focus()
        page.keyboard.press("Space")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "begin"
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
        assert outline == "3px"
        page.keyboard.press("Enter")
        page.wait_for_selector(READY)
        question = "Which video do you prefer based on its quality?"
        assert page.evaluate("document.activeElement.textContent") == question
        assert page.get_by_role("heading", level=1, name=question).is_visible()
        group = page.get_by_role("group", name=question)
        for name in ("Left", "Right"):
            assert group.get_by_role("button", name=name, exact=True).is_visible()
            assert page.locator(f'video[aria-label="{name} video"]').first.is_visible()
        assert page.get_by_role("button", name="Pause").is_visible()
        reached = []
        for _ in range(3):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.textContent"))
        assert reached == ["Pause", "1Left", "2Right"]
        page.goto(server.address + "/admin")
        assert page.get_by_label(re.compile("Token")).is_visible()
        assert wrong == []


# Stands in for Amazon's script: elements that gather a form's fields when they are sent.
CROWD = """
customElements.define("crowd-form", class extends HTMLElement {});
customElements.define("crowd-button", class extends HTMLElement {
  connectedCallback() {
    this.addEventListener("click", () => {
      const fields = document.querySelectorAll("crowd-form input[name]");
      window.sent = Object.fromEntries([...fields].map((one) => [one.name, one.value]));
    });
  }
});
"""


def test_the_question_of_mechanical_turk_leads_to_the_same_votes(engine, study, server, tmp_path):
    """The question is filled in as their site does it; what it sends is imported."""
    folder = tmp_path / "s"
    shutil.copytree(study, folder, ignore=shutil.ignore_patterns("votes.*", "*.log"))
    export(folder, "https://media.example.org/x", tmp_path)
    with open(tmp_path / "input.csv", newline="") as file:
        row = list(csv.DictReader(file))[1]
    page_text = (tmp_path / "question.html").read_text()
    for name, value in row.items():
        page_text = page_text.replace("${" + name + "}", value)
    media = (folder / "media").iterdir()
    videos = {path.name: path.read_bytes() for path in media}

    def answer(route) -> None:
        url = route.request.url
        if url.startswith("https://media.example.org/x/"):
            body = videos[url.rpartition("/")[2]]
            route.fulfill(body=body, content_type="video/mp4")
        elif url == "https://assets.crowd.aws/crowd-html-elements.js":
            route.fulfill(body=CROWD, content_type="text/javascript")
        elif url.startswith("https://workers.example.org/"):
            route.fulfill(body="<!doctype html>" + page_text, content_type="text/html")
        else:
            route.abort()

    with a_browser(engine, tmp_path / "profile") as (context, wrong):
        context.route("**/*", answer)
        page = context.pages[0]
        page.goto("https://workers.example.org/?assignmentId=ASSIGNMENT_ID_NOT_AVAILABLE")
        page.click("#begin")
        assert page.text_content("#problem") == "Accept the HIT to begin."
        page.goto("https://workers.example.org/?assignmentId=3ABC")
        assert page.text_content("#total") == "20"
        page.screenshot(path=tmp_path / "question.png")
        page.click("#begin")
        for number in range(1, 21):
            wait_for_trial(page, number)
            page.wait_for_selector(READY)
            page.keyboard.press("1" if number % 4 else "2")
        page.wait_for_selector("#send", state="visible")
        page.click("#send")
        sent = page.evaluate("window.sent")
        assert wrong == []
    expected = ["left" if number % 4 else "right" for number in range(1, 21)]
    assert sent == {"choices": " ".join(expected)}
    results = tmp_path / "results.csv"
    with open(results, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["WorkerId", *(f"Input.{name}" for name in row), "Answer.choices"])
        writer.writerow(["A1", *row.values(), sent["choices"]])
    import_results(folder, results)
    votes = read_votes(folder)
    assert [vote.choice for vote in votes] == expected
    assert [vote.pair for vote in votes] == [t.pair for t in read_plan(folder).observers[1]]


def test_colours_stand_out():
    text = (Path(__file__).parents[1] / "supervegan_jax/study/page/study.css").read_text()
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", text))
    for front, behind, least in (
        *((name, ground, 4.5) for name in ("ink", "muted") for ground in ("ground", "panel")),
        *(("alarm", "ground", 4.5), ("on-accent", "accent", 4.5), ("on-answer", "answer", 4.5)),
        *(("accent", "ground", 3), ("accent", "panel", 3), ("control", "ground", 3)),
        *(("control", "panel", 3), ("answer", "ground", 3)),
    ):
        assert contrast(colours[front], colours[behind]) >= least, (front, behind)


def test_the_admin_page_shows_progress_for_the_token(engine, study, server, tmp_path):
    voter = Voter(server.port)
    voter.begin()
    voter.vote_patiently(1, "left")
    voter.close()
    with a_browser(engine, tmp_path, viewport={"width": 900, "height": 900}) as (context, wrong):
        page = open_page(context, server, "/admin")
        page.fill("#token", "wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("#problem", state="visible")
        assert page.text_content("#problem") == "another token is needed"
        assert all("401" in line for line in wrong)  # Chromium notes it
        page.fill("#token", (study / "admin.token").read_text())
        page.keyboard.press("Enter")
        page.wait_for_selector("#progress", state="visible")
        votes = len(read_votes(study))
        assert f"{votes} of 260" in page.text_content("#facts")
        assert page.locator("#conditions tr").count() >= 1
        assert "token" not in page.url
        page.screenshot(path=tmp_path / "admin.png")
