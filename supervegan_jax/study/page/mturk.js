/* The way through one observer's pairs on Mechanical Turk; no template literals, see ballot.js. */
"use strict";

(() => {
  const LEAST_SCREEN = [1280, 800];
  const byId = (id) => document.getElementById(id);
  const { media, left, right, size, watch } = byId("study").dataset;
  const words = (text) => text.trim().split(" ");
  const rights = words(right);
  const sizes = words(size).map((one) => one.split("x").map(Number));
  const seconds = words(watch).map(Number);
  const trials = words(left).map((name, place) => ({
    left: media + name,
    right: media + rights[place],
    width: sizes[place][0],
    height: sizes[place][1],
    watch_seconds: seconds[place],
  }));
  const choices = [];

  function follow() {
    const place = choices.length;
    if (place < trials.length) {
      const count = (place + 1) + " of " + trials.length;
      ballot.show(trials[place], trials[place + 1] ?? null, count);
      return;
    }
    ballot.close();
    byId("choices").value = choices.join(" ");
    byId("vote").hidden = true;
    byId("thanks").hidden = false;
    byId("send").hidden = false;
    byId("thanks").querySelector("h1").focus();
  }

  const ballot = new Ballot(byId("vote"), (side) => {
    choices.push(side);
    follow();
  });

  function problem() {
    const { width, height } = window.screen;
    const preview = new URLSearchParams(window.location.search).get("assignmentId");
    if (preview === "ASSIGNMENT_ID_NOT_AVAILABLE") return "Accept the HIT to begin.";
    if (Math.max(width, height) >= LEAST_SCREEN[0] && Math.min(width, height) >= LEAST_SCREEN[1]) {
      return "";
    }
    return "This study needs a screen of at least " + LEAST_SCREEN.join(" x ") + " pixels.";
  }

  byId("total").textContent = String(trials.length);
  byId("begin").addEventListener("click", () => {
    byId("problem").textContent = problem();
    byId("problem").hidden = problem() === "";
    if (problem() !== "") return;
    byId("intro").hidden = true;
    byId("vote").hidden = false;
    follow();
  });
})();
