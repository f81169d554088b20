/* Shows the progress every few seconds; the token stays in this page's memory. */
"use strict";

const EVERY = 5000; // milliseconds
const byId = (id) => document.getElementById(id);
let timer = 0;

function row(cells, tag) {
  const line = document.createElement("tr");
  for (const [place, text] of cells.entries()) {
    const cell = document.createElement(place === 0 ? tag : "td");
    if (place === 0) cell.scope = "row";
    cell.textContent = text;
    line.append(cell);
  }
  return line;
}

const percent = (share) => (share === null ? "-" : `${(100 * share).toFixed(0)} %`);

function show(found) {
  const pairs = found.pair_votes;
  const facts = [
    ["votes", `${found.votes} of ${found.planned_votes}`],
    ["observers", `${found.observers} of ${found.planned_observers}; ${found.finished} finished`],
    ["votes per pair", `${pairs.fewest} to ${pairs.most}, median ${pairs.median}; ${pairs.planned} planned`],
    ["catch pairs answered as expected", percent(found.catches_right)],
    ["left chosen", percent(found.left_chosen)],
    ["last vote", found.last_vote_at ?? "-"],
  ];
  byId("facts").replaceChildren(...facts.flatMap(([name, value]) => {
    const title = document.createElement("dt");
    const text = document.createElement("dd");
    title.textContent = name;
    text.textContent = value;
    return [title, text];
  }));
  byId("conditions").replaceChildren(...found.conditions.map((one) => row(
    [one.model, one.input_kbps, one.reference_kbps, one.votes, percent(one.for_model / one.votes)], "th",
  )));
}

async function refresh() {
  clearTimeout(timer);
  let problem = "";
  try {
    const answer = await fetch("/api/progress", {
      headers: { Authorization: `Bearer ${byId("token").value.trim()}` },
    });
    const body = await answer.json();
    if (answer.ok) show(body); else problem = body.error;
  } catch {
    problem = "The server cannot be reached.";
  }
  byId("problem").textContent = problem;
  byId("problem").hidden = problem === "";
  byId("progress").hidden = problem !== "";
  byId("enter").hidden = problem === "";
  if (problem === "") timer = setTimeout(refresh, EVERY);
}

byId("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  refresh();
});
