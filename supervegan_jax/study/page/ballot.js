/* Shows pairs of videos side by side, in step and in a loop, and takes an answer to each.

   const ballot = new Ballot(element, (side) => ...);   side is "left" or "right"
   ballot.show(trial, next, "3 of 25");
   trial: {left, right: addresses, width, height, watch_seconds}; next may be null.

   No template literals here: Mechanical Turk takes dollar and brace for its own variables. */
"use strict";

const QUESTION = "Which video do you prefer based on its quality?";
const GAP = 8; // pixels between the videos
const CHROME = 132; // pixels that the bar, the answers and the status take, see study.css
const SIDES = ["left", "right"];
const NEAR = 0.03; // seconds apart that nobody sees
const FAR = 0.15; // from here on the one ahead waits
const TOLERANCE = 0.05; // seconds of a clip's end that players may leave out

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/* Two videos that play together. */
class PairPlayer {
  constructor(trial) {
    this.trial = trial;
    this.videos = SIDES.map((side) => {
      const video = make("video", {
        src: trial[side], width: trial.width, height: trial.height, preload: "auto",
        playsinline: "", "aria-label": (side === "left" ? "Left" : "Right") + " video",
      });
      video.muted = true;
      video.disablePictureInPicture = true;
      return video;
    });
    this.element = make("div", { class: "pair waiting" }, ...this.videos);
    this.wanted = false;
    this.failed = false;
    for (const video of this.videos) {
      video.addEventListener("error", () => { this.failed = true; });
    }
  }

  get loaded() {
    return this.videos.every((video) => video.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA);
  }

  /* Seconds that the less watched of the two has been played. */
  get watched() {
    return Math.min(...this.videos.map(({ played }) => {
      let sum = 0;
      for (let i = 0; i < played.length; i += 1) sum += played.end(i) - played.start(i);
      return sum;
    }));
  }

  play() { this.wanted = true; }

  pause() {
    this.wanted = false;
    for (const video of this.videos) video.pause();
  }

  /* Called for every frame of the screen: keeps the two in step. */
  step() {
    if (!this.wanted || !this.loaded) return;
    const [left, right] = this.videos;
    if (left.ended && right.ended) {
      for (const video of this.videos) video.currentTime = 0;
    }
    const ahead = left.currentTime - right.currentTime;
    for (const [video, lead] of [[left, ahead], [right, -ahead]]) {
      video.playbackRate = lead > NEAR ? 0.95 : 1;
      if (lead > FAR) video.pause();
      else if (video.paused && !video.ended && !video.seeking) video.play().catch(() => {});
    }
  }

  remove() {
    this.pause();
    for (const video of this.videos) {
      video.removeAttribute("src");
      video.load(); // lets go of what was buffered
    }
    this.element.remove();
  }
}

class Ballot {
  constructor(root, onVote) {
    this.onVote = onVote;
    this.open = false; // whether an answer is taken
    this.now = null;
    this.next = null;
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.count = make("span", { class: "count" });
    this.heading = make("h1", { tabindex: "-1" }, QUESTION);
    this.toggle = make("button", { type: "button" }, "Pause");
    this.stage = make("div", { class: "stage" });
    this.buttons = SIDES.map((side, place) => make(
      "button", { type: "button", "data-side": side, "aria-disabled": "true", "aria-pressed": "false" },
      make("kbd", { "aria-hidden": "true" }, String(place + 1)),
      side === "left" ? "Left" : "Right",
    ));
    const answers = make("div", { class: "answers", role: "group", "aria-label": QUESTION }, ...this.buttons);
    this.countdown = make("span", { "aria-hidden": "true" });
    this.said = make("span", { role: "status" });
    const status = make("p", { class: "status" }, this.said, this.countdown);
    const bar = make("div", { class: "bar" }, this.count, this.heading, this.toggle);
    this.ballot = make("div", { class: "ballot" }, bar, this.stage, answers, status);
    this.need = make("p");
    this.full = make("button", { type: "button", class: "main" }, "Full screen");
    this.small = make("div", { class: "small", role: "alert" }, this.need, this.full);
    this.small.hidden = true;
    root.append(this.ballot, this.small);
    this.toggle.addEventListener("click", () => this.setPlaying(!this.now.wanted));
    this.full.addEventListener("click", () => document.documentElement.requestFullscreen());
    for (const button of this.buttons) {
      button.addEventListener("click", () => this.vote(button.dataset.side));
    }
    document.addEventListener("keydown", (event) => this.onKey(event));
    window.addEventListener("resize", () => this.fit());
    const tick = () => { this.tick(); requestAnimationFrame(tick); };
    requestAnimationFrame(tick);
  }

  /* Shows a trial, made ready before if it was the last call's `next`. */
  show(trial, next, count) {
    const ready = this.next !== null && this.next.trial.left === trial.left
      && this.next.trial.right === trial.right;
    if (this.now !== null) this.now.remove();
    if (!ready && this.next !== null) this.next.remove();
    this.now = ready ? this.next : new PairPlayer(trial);
    if (!ready) this.stage.append(this.now.element);
    this.now.element.classList.remove("waiting");
    this.next = next === null ? null : new PairPlayer(next);
    if (this.next !== null) this.stage.append(this.next.element);
    this.count.textContent = count;
    this.said.textContent = "";
    this.open = false;
    this.counting = true;
    for (const button of this.buttons) {
      button.setAttribute("aria-disabled", "true");
      button.setAttribute("aria-pressed", "false");
    }
    // Who asked for less motion starts it.
    this.setPlaying(!this.calm.matches);
    this.fit();
    this.heading.focus();
  }

  close() {
    this.open = false;
    if (this.now !== null) this.now.pause();
    this.now = null;
  }

  setPlaying(playing) {
    if (this.now === null) return;
    if (playing) this.now.play(); else this.now.pause();
    this.toggle.textContent = playing ? "Pause" : "Play";
  }

  /* Hides the pair where the window cannot show it whole. */
  fit() {
    if (this.now === null) return;
    const { width, height } = this.now.trial;
    const wanted = [2 * width + GAP, height + CHROME];
    const fits = window.innerWidth >= wanted[0] && window.innerHeight >= wanted[1];
    this.need.textContent = "The window is too small for both videos. It needs "
      + wanted.join(" x ") + " pixels and has " + window.innerWidth + " x " + window.innerHeight
      + ". Make it larger, set the zoom to 100 %, or use the full screen.";
    if (!fits && !this.ballot.hidden) this.setPlaying(false);
    if (fits && this.ballot.hidden) this.setPlaying(!this.calm.matches);
    this.ballot.hidden = !fits;
    this.small.hidden = fits;
  }

  tick() {
    if (this.now === null) return;
    this.now.step();
    if (!this.counting) return;
    const left = this.now.trial.watch_seconds - TOLERANCE - this.now.watched;
    if (this.now.failed) this.say("This video cannot be played by your browser.");
    else if (!this.now.loaded && this.now.watched === 0) this.countdown.textContent = "Loading ...";
    else if (left > 0 && !this.now.wanted) this.countdown.textContent = "Press Play or Space";
    else if (left > 0) this.countdown.textContent = "Watch both videos: " + Math.ceil(left) + " s";
    else {
      this.counting = false;
      this.open = true;
      this.say("You can answer now");
      for (const button of this.buttons) button.setAttribute("aria-disabled", "false");
    }
  }

  say(text) {
    this.countdown.textContent = "";
    if (this.said.textContent !== text) this.said.textContent = text;
  }

  vote(side) {
    if (this.now === null || this.ballot.hidden) return;
    if (!this.open) return;
    this.open = false;
    for (const button of this.buttons) {
      button.setAttribute("aria-pressed", String(button.dataset.side === side));
      button.setAttribute("aria-disabled", "true");
    }
    this.say("Storing your answer ...");
    this.onVote(side);
  }

  onKey(event) {
    if (this.now === null || event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
    if (["ArrowLeft", "1"].includes(event.key)) this.vote("left");
    else if (["ArrowRight", "2"].includes(event.key)) this.vote("right");
    else if (event.key === " " && !(event.target instanceof HTMLButtonElement)) {
      this.setPlaying(!this.now.wanted);
    } else return;
    event.preventDefault();
  }
}
