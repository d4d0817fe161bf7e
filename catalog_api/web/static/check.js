// Shows the steps of a check as they come, by server-sent events; once it has ended the page is loaded as it is then.
const check = document.querySelector("[data-events]");
const steps = check.querySelector("[data-steps]");

function paragraph(text, kind) {
  const made = document.createElement("p");
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function show(step) {
  const made = document.createElement("li");
  made.className = step.state;
  made.dataset.step = step.number;
  const title = document.createElement("strong");
  title.textContent = step.title;
  const state = document.createElement("span");
  state.className = "state";
  state.textContent = steps.dataset[step.state];
  made.append(title, " ", state);
  for (const finding of step.findings) {
    made.append(paragraph(finding.seen));
    if (finding.advice) made.append(paragraph(finding.advice, "advice"));
  }
  const known = steps.querySelector(`[data-step="${Number(step.number)}"]`);
  if (known) known.replaceWith(made);
  else steps.append(made);
}

const events = new EventSource(check.dataset.events);
events.addEventListener("step", (event) => show(JSON.parse(event.data)));
events.addEventListener("again", () => steps.replaceChildren());
events.addEventListener("waiting", () => {
  check.querySelector("[data-outcome]").textContent = steps.dataset.waiting;
});
events.addEventListener("end", () => {
  events.close();
  location.reload();
});
