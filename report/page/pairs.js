/** The pair microscope: suspicious pairs with their texts and the course of their margins. */
import { color, element, section } from "./dom.js";
import { numberText } from "./series.js";

const COURSE_WIDTH = 180;
const COURSE_HEIGHT = 44;

/** A section for each way to be suspicious. */
export function pairSections({ groups, how }) {
  const filter = element("input", {
    type: "search",
    id: "pair-filter",
    placeholder: "row number or words",
    oninput: (event) => showMatching(event.currentTarget.value),
  });
  const head = element(
    "p",
    { class: "print-hidden" },
    element("label", { for: "pair-filter" }, "Show pairs with "),
    filter,
  );
  return [
    element("p", { class: "how" }, how),
    head,
    ...groups.map((group) =>
      section(
        `pairs-${group.id}`,
        group.title,
        element("p", { class: "how" }, group.how),
        group.pairs.length === 0 ? element("p", {}, "None.") : undefined,
        ...group.pairs.map(pairCard),
      )
    ),
  ];
}

function showMatching(words) {
  const wanted = words.trim().toLowerCase();
  for (const card of document.querySelectorAll("article.pair")) {
    card.hidden = wanted !== "" && card.dataset.row !== wanted &&
      !card.textContent.toLowerCase().includes(wanted);
  }
}

function pairCard(pair) {
  const facts = [
    `row ${pair.row}`,
    `last margin ${numberText(pair.last)}`,
    `mean ${numberText(pair.mean)}`,
    `visits ${pair.seen}`,
    `changes of sign ${pair.flips}`,
  ];
  if (pair.dropped > 0) facts.push(`dropped in ${pair.dropped}`);
  const texts = pair.prompt === undefined ? [] : [
    element("pre", { class: "prompt" }, pair.prompt.trim()),
    element(
      "div",
      { class: "answers" },
      element("div", {}, element("h4", {}, "chosen"), element("pre", {}, pair.chosen.trim())),
      element("div", {}, element("h4", {}, "rejected"), element("pre", {}, pair.rejected.trim())),
    ),
  ];
  return element(
    "article",
    { class: "pair", "data-row": String(pair.row) },
    element("p", { class: "facts" }, facts.join(" · ")),
    course(pair),
    ...texts,
  );
}

/** The margins of a pair over its visits, with the level 0. */
function course({ steps, margins }) {
  const scale = devicePixelRatio;
  const canvas = element("canvas", {
    width: String(COURSE_WIDTH * scale),
    height: String(COURSE_HEIGHT * scale),
    role: "img",
    "aria-label": `margins ${margins.map(numberText).join(", ")} at steps ${steps.join(", ")}`,
  });
  canvas.style.width = `${COURSE_WIDTH}px`;
  canvas.style.height = `${COURSE_HEIGHT}px`;
  const draw = () => paintCourse(canvas.getContext("2d"), steps, margins, scale);
  requestAnimationFrame(draw);
  document.addEventListener("recolor", draw);
  return canvas;
}

function paintCourse(ctx, steps, margins, scale) {
  const low = Math.min(0, ...margins), high = Math.max(0, ...margins);
  const pad = 5;
  const x = (step) =>
    pad + (COURSE_WIDTH - 2 * pad) * (step - steps[0]) / Math.max(1, steps.at(-1) - steps[0]);
  const y = (value) =>
    COURSE_HEIGHT - pad - (COURSE_HEIGHT - 2 * pad) * (value - low) / ((high - low) || 1);
  ctx.setTransform(scale, 0, 0, scale, 0, 0);
  ctx.clearRect(0, 0, COURSE_WIDTH, COURSE_HEIGHT);
  ctx.strokeStyle = color("grid");
  ctx.beginPath();
  ctx.moveTo(0, y(0));
  ctx.lineTo(COURSE_WIDTH, y(0));
  ctx.stroke();
  ctx.strokeStyle = ctx.fillStyle = color("c0");
  ctx.beginPath();
  steps.forEach((step, i) => ctx.lineTo(x(step), y(margins[i])));
  ctx.stroke();
  steps.forEach((step, i) => ctx.fillRect(x(step) - 2, y(margins[i]) - 2, 4, 4));
}
