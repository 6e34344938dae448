/** Answers of reference and policy to the same held-out prompts, side by side, one evaluation at a time. */
import { element, section } from "./dom.js";

/** The section, and `update()` for when samples were added. */
export function sampleSection(runs) {
  const select = element("select", { id: "sample-step", "aria-label": "Evaluation" });
  const box = element("div", { class: "samples" });
  const whole = section(
    "samples",
    "Samples",
    element(
      "p",
      { class: "how" },
      "The likeliest answer of the reference and of the trained policy to the same held-out prompts. " +
        "This is what the training is for: where answers get worse while the curves improve, " +
        "believe the answers.",
    ),
    element(
      "p",
      { class: "print-hidden" },
      element("label", { for: "sample-step" }, "After "),
      select,
    ),
    box,
  );
  let known = 0;
  select.addEventListener("change", () => show(box, runs, select.value));

  function update() {
    const all = runs.flatMap((run) => run.data.samples);
    whole.hidden = all.length === 0;
    if (all.length === known) return;
    known = all.length;
    const steps = [...new Set(all.map(({ step }) => step))].sort((a, b) => a - b);
    const last = select.options.length === 0 || select.selectedIndex === select.options.length - 1;
    const chosen = last ? String(steps.at(-1)) : select.value;
    select.replaceChildren(
      ...steps.map((step) => element("option", { value: String(step) }, `step ${step}`)),
    );
    select.value = chosen;
    show(box, runs, chosen);
  }

  return { element: whole, update };
}

function show(box, runs, step) {
  const cards = runs.flatMap((run) =>
    run.data.samples.filter((sample) => String(sample.step) === step).map((sample) => {
      const before = run.facts?.reference ? "reference" : "before training";
      const answers = [
        answer(before, sample.reference),
        answer(runs.length > 1 ? run.name : "policy", sample.policy),
      ];
      return element(
        "article",
        {},
        element("pre", { class: "prompt" }, sample.prompt.trim()),
        element("div", { class: "answers" }, answers),
      );
    })
  );
  box.replaceChildren(...cards);
}

function answer(who, text) {
  return element("div", {}, element("h4", {}, who), element("pre", {}, text.trim()));
}
