/* The way from the explanation through all pairs to the end, beside the server. */
"use strict";

const LEAST_SCREEN = [1280, 800];
const byId = (id) => document.getElementById(id);
let trialNow = 0;

function only(id) {
  for (const main of document.querySelectorAll("main")) main.hidden = main.id !== id;
  const heading = document.querySelector(`#${id} h1`);
  if (heading !== null) heading.focus();
}

function complain(text) {
  byId("problem").textContent = text;
  byId("problem").hidden = text === "";
}

const wait = (seconds) => new Promise((done) => { setTimeout(done, 1000 * seconds); });

/* Asks the server, again and again while it cannot be reached or asks for time. */
async function ask(path, content) {
  const request = content === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(content),
  };
  for (let pause = 1; ; pause = Math.min(2 * pause, 15)) {
    let answer = null;
    try {
      answer = await fetch(path, request);
    } catch {
      complain("The server cannot be reached. Your answer is kept here and sent as soon as it can.");
    }
    if (answer !== null && answer.status < 500) {
      const body = await answer.json();
      if (answer.status !== 429) {
        complain("");
        return { status: answer.status, body };
      }
      await wait(body.retry_after ?? pause);
    } else {
      if (answer !== null) complain("The server has a problem. Trying again.");
      await wait(pause);
    }
  }
}

const ballot = new Ballot(byId("vote"), async (side) => {
  const { status, body } = await ask("/api/vote", { trial: trialNow, choice: side });
  if (status === 200) follow(body);
  else if (status === 409) follow((await ask("/api/state")).body); // voted in another tab
  else if (status === 401) location.reload();
  else complain(`Your answer was refused: ${body.error}`);
});

/* Shows what the server says comes next. */
function follow(state) {
  if (state.trial === null) {
    ballot.close();
    only("thanks");
    return;
  }
  trialNow = state.trial.number;
  byId("vote").hidden = false;
  only("vote");
  ballot.show(state.trial, state.next, `${trialNow} of ${state.total}`);
}

function checkScreen() {
  const { width, height } = window.screen;
  // A tablet's screen may be turned.
  const fits = Math.max(width, height) >= LEAST_SCREEN[0] && Math.min(width, height) >= LEAST_SCREEN[1];
  byId("screen").hidden = fits;
  byId("screen").textContent = `Your screen has ${width} x ${height} pixels. This study needs at least `
    + `${LEAST_SCREEN.join(" x ")}, so that two videos fit side by side. Please use a larger screen.`;
  byId("begin").setAttribute("aria-disabled", String(!fits));
  return fits;
}

byId("agree").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!checkScreen() || !byId("consent").checked) return;
  const { width, height } = window.screen;
  const { status, body } = await ask("/api/begin", { consent: true, screen: [width, height] });
  if (status === 200) follow(body); else complain(`The server refused: ${body.error}`);
});

byId("resume").addEventListener("click", async () => {
  follow((await ask("/api/state")).body);
});

(async () => {
  const { body } = await ask("/api/state");
  if (body.done === null) {
    byId("total").textContent = body.total;
    byId("minutes").textContent = body.minutes === 1 ? "1 minute" : `${body.minutes} minutes`;
    only("intro");
    checkScreen();
  } else if (body.trial === null) only("thanks");
  else if (body.done === 0) follow(body);
  else {
    byId("done").textContent = `${body.done} of ${body.total}`;
    only("return");
    byId("resume").focus();
  }
})();
