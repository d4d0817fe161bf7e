// What the pages of health do besides being read: charts from the same files that can be downloaded, and visits and
// states as they change, told by the catalog.

const page = document.documentElement;
const colour = (name) => getComputedStyle(page).getPropertyValue(name).trim();
const number = new Intl.NumberFormat(page.lang);
// distinct in both themes and for most eyes, the first eight instances; then one grey
const PALETTE = ["#3b82f6", "#f59e0b", "#10b981", "#ef4444", "#a855f7", "#14b8a6", "#ec4899", "#84cc16"];
const OTHERS = "#8b93a3";
const MONTHS_MAX = 36;

async function read(source) {
  const answer = await fetch(source);
  if (!answer.ok) throw new Error(`${source}: ${answer.status}`);
  const { columns, rows } = await answer.json();
  return rows.map((row) => Object.fromEntries(columns.map((name, place) => [name, row[place]])));
}

const line = (label, data, of) => ({
  type: "line", label, data, borderColor: of, backgroundColor: of, borderWidth: 2, pointRadius: data.length < 3 ? 3 : 0, pointHitRadius: 8,
  tension: 0.2, spanGaps: true,
});
const bars = (label, data, of) => ({ type: "bar", label, data, backgroundColor: of, stack: "one" });

const CHARTS = {
  growth: (rows) => ({ labels: rows.map((row) => row.day), datasets: [line("", rows.map((row) => row.pictures), colour("--accent"))] }),
  latency: (rows) => ({
    labels: rows.map((row) => row.day),
    datasets: [line("", rows.map((row) => row.latency_s && row.latency_s * 1000), colour("--fair"))],
    unit: " ms",
  }),
  changes: (rows) => ({
    labels: rows.map((row) => row.day),
    datasets: [
      bars("+", rows.map((row) => row.pictures_changed), colour("--good")),
      bars("−", rows.map((row) => -row.pictures_removed), colour("--bad")),
    ],
  }),
  freshness: (rows) => ({
    labels: rows.map((row) => `≤ ${span(row.within_s)}`),
    datasets: [bars("", rows.map((row) => row.changes), colour("--accent"))],
  }),
  months: (rows) => {
    const months = [...new Set(rows.map((row) => row.month))].sort().slice(-MONTHS_MAX);
    const sums = new Map();
    for (const row of rows) sums.set(row.instance, (sums.get(row.instance) ?? 0) + row.pictures);
    const names = [...sums.keys()].sort((one, other) => sums.get(other) - sums.get(one));
    const large = names.slice(0, PALETTE.length);
    const of = (chosen) => months.map((month) =>
      rows.reduce((sum, row) => sum + (row.month === month && chosen(row.instance) ? row.pictures : 0), 0));
    const datasets = large.map((name, place) => bars(name, of((each) => each === name), PALETTE[place]));
    if (names.length > large.length) datasets.push(bars("…", of((each) => !large.includes(each)), OTHERS));
    return { labels: months, datasets };
  },
};

function span(seconds) {
  for (const [size, unit] of [[86400, page.lang === "fr" ? "j" : "d"], [3600, "h"], [60, "min"]])
    if (seconds >= size) return `${number.format(Math.round(seconds / size))} ${unit}`;
  return `${number.format(seconds)} s`;
}

async function draw(canvas) {
  const { chart: kind, source } = canvas.dataset;
  const { labels, datasets, unit = "" } = CHARTS[kind](await read(source));
  if (!labels.length) canvas.parentElement.classList.add("empty");
  const legend = datasets.length > 1;
  const ink = colour("--soft"), grid = colour("--line");
  new window.Chart(canvas, {
    data: { labels, datasets },
    options: {
      animation: false, maintainAspectRatio: false, color: ink, interaction: { mode: "index", intersect: false },
      plugins: {
        legend: { display: legend, position: "bottom", labels: { color: ink, boxWidth: 12 } },
        tooltip: { callbacks: { label: (each) => `${each.dataset.label} ${number.format(each.parsed.y)}${unit}`.trim() } },
      },
      scales: {
        x: { stacked: true, grid: { display: false }, ticks: { color: ink, maxRotation: 0, autoSkipPadding: 16 } },
        y: { stacked: kind !== "growth" && kind !== "latency", beginAtZero: kind !== "growth", grid: { color: grid },
             ticks: { color: ink, precision: 0, maxTicksLimit: 6, callback: (value) => number.format(value) + unit } },
      },
    },
  });
  canvas.dataset.drawn = String(labels.length);
}

// each when it comes into view: most of them are below what is seen at first
const seen = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    draw(target).catch((error) => console.warn(String(error)));
  }
}, { rootMargin: "200px" });
if (window.Chart) for (const canvas of document.querySelectorAll("canvas[data-chart]")) seen.observe(canvas);

// what is going on, as the catalog tells it

const list = document.querySelector("[data-runs]");
const say = list ? JSON.parse(list.dataset.words) : {};
const fill = (key, values) => Object.entries(values).reduce((text, [name, value]) => text.replace(`{${name}}`, value), say[key] ?? key);
const took = (seconds) => {
  for (const [size, unit] of [[86400, "unit_d"], [3600, "unit_h"], [60, "unit_min"]])
    if (seconds >= size) return fill(unit, { n: number.format(Math.floor(seconds / size)) });
  return fill("unit_s", { n: number.format(Math.floor(seconds)) });
};
const chosen = new URLSearchParams(location.search).get("lang");
const within = (path) => (chosen ? `${path}?lang=${encodeURIComponent(chosen)}` : path);

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function visit(run) {
  const item = element("li", "", { class: "visit", "data-run": run.n });
  const phase = `phase_${run.phase.replaceAll(" ", "_")}`;
  item.append(
    element("a", run.instance.name, { href: within(`/instances/${run.instance.name}`) }),
    element("a", say[phase] ?? run.phase, { href: within(`/runs/${run.n}`), class: "soft" }),
  );
  const { share, left_s: left, open_ended: open } = run.progress ?? {};
  if (share != null)
    item.append(element("progress", "", { max: 1, value: share, "aria-label": fill("progress_of", { name: run.instance.name }) }));
  const many = fill(run.pictures_seen === 1 ? "n_pictures_one" : "n_pictures", { n: number.format(run.pictures_seen) });
  const parts = [many, took(run.seconds)];
  if (left != null) parts.push(fill(open ? "left_at_least" : "left", { span: took(left) }));
  item.append(element("span", parts.join(" · "), { class: "figures" }));
  return item;
}

// the parts of the page that visits change, as the catalog would send them now
const PARTS = "[data-states], .totals, .health tbody, ol.events";
const AFTER_STATES_MS = 1500, AFTER_VISITS_MS = 30000;
let waiting, last = Date.now();

function renewWithin(most) {
  const at = Math.max(Date.now() + AFTER_STATES_MS, last + most);
  if (waiting && waiting.at <= at) return;
  if (waiting) clearTimeout(waiting.timer);
  waiting = { at, timer: setTimeout(renew, at - Date.now()) };
}

async function renew() {
  waiting = undefined;
  last = Date.now();
  const answer = await fetch(location.href).catch(() => undefined);
  if (!answer?.ok) return;
  const now = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = [...now.querySelectorAll(PARTS)];
  document.querySelectorAll(PARTS).forEach((part, place) => fresh[place] && part.replaceChildren(...fresh[place].childNodes));
}

if (list) {
  const told = new EventSource("/api/runs/events");
  told.addEventListener("runs", ({ data }) => {
    const runs = JSON.parse(data);
    const gone = [...list.children].some((each) => !runs.some((run) => String(run.n) === each.dataset.run));
    list.replaceChildren(...runs.map(visit));
    if (gone) renewWithin(AFTER_VISITS_MS);
    document.querySelector("[data-idle]").hidden = runs.length > 0;
  });
  told.addEventListener("states", ({ data }) => {
    const states = JSON.parse(data);
    const rows = new Set([...document.querySelectorAll("tr[data-instance]")].map((row) => row.dataset.instance));
    if (Object.keys(states).some((id) => !rows.has(id))) renewWithin(0);
    for (const row of document.querySelectorAll("tr[data-instance]")) {
      const state = states[row.dataset.instance];
      const badge = row.querySelector(".state");
      if (!state || badge.classList.contains(state)) continue;
      renewWithin(0);
      badge.className = `state ${state}`;
      badge.textContent = fill(`state_${state}`, {});
    }
  });
  let latest;
  told.addEventListener("happened", ({ data }) => {
    if (latest !== undefined && latest !== data) renewWithin(0);
    latest = data;
  });
  // a page in the back of the browser's memory comes back with a new one
  window.addEventListener("pagehide", () => told.close());
}
