/** The live page: takes in what the server sends while a run goes on, and gives orders to the run. */
import { element } from "./dom.js";
import { appendTable } from "./series.js";

const ORDERS = [
  ["pause", "Pause"],
  ["resume", "Resume"],
  ["save", "Save now"],
  ["stop", "Stop"],
];

/** Milliseconds in which a second click confirms the stop. */
const CONFIRM_WITHIN = 4000;

/** Keeps `view` up to date until the run ends. The browser reconnects by itself. */
export function followRun(view, { status, bar }) {
  const buttons = orderButtons((text) => showStatus(status, text));
  bar.prepend(...Object.values(buttons));
  const source = new EventSource(`events${location.search}`);
  const run = () => view.data.runs[0];
  source.addEventListener("all", ({ data }) => {
    Object.assign(run(), JSON.parse(data));
    view.showAbout();
    view.update();
  });
  source.addEventListener("more", ({ data }) => {
    const more = JSON.parse(data);
    const { tables, samples, dots } = run().data;
    for (const [name, table] of Object.entries(tables)) appendTable(table, more.tables[name]);
    samples.push(...more.samples);
    dots.push(...more.dots);
    run().data.broken = more.broken;
    view.update();
  });
  source.addEventListener("status", ({ data }) => {
    const { text, state } = JSON.parse(data);
    showStatus(status, text, state);
    buttons.pause.hidden = state === "paused";
    buttons.resume.hidden = state !== "paused";
    if (state !== "ended") return;
    source.close();
    Object.values(buttons).forEach((button) => button.disabled = true);
  });
  source.addEventListener("error", () => {
    if (source.readyState !== EventSource.CLOSED) {
      showStatus(status, "No connection to the run; trying again", "lost");
    }
  });
}

function showStatus(status, text, state) {
  status.textContent = text;
  if (state) status.dataset.state = state;
}

function orderButtons(tell) {
  const buttons = {};
  for (const [order, label] of ORDERS) {
    buttons[order] = element("button", { type: "button", id: order }, label);
    buttons[order].addEventListener("click", () => {
      if (order === "stop" && !confirmed(buttons.stop)) return;
      give(order, tell);
    });
  }
  buttons.resume.hidden = true;
  return buttons;
}

/** A run is stopped by two clicks: the first one asks. */
function confirmed(button) {
  if (button.dataset.asked) return true;
  button.dataset.asked = "yes";
  button.textContent = "Stop: sure?";
  setTimeout(() => {
    delete button.dataset.asked;
    button.textContent = "Stop";
  }, CONFIRM_WITHIN);
  return false;
}

async function give(order, tell) {
  try {
    const answer = await fetch(`order/${order}${location.search}`, { method: "POST" });
    if (!answer.ok) tell(`The run did not take the order "${order}": ${await answer.text()}`);
  } catch {
    tell(`The order "${order}" did not reach the run`);
  }
}
