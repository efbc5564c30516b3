// The durable_app pages work without this; it only saves clicks. No inline code, no dependencies.

const all = (selector, root = document) => [...root.querySelectorAll(selector)];
document.documentElement.classList.add("durable-js");

// Copying.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-durable-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.durableCopy);
  button.classList.add("is-copied");
  setTimeout(() => button.classList.remove("is-copied"), 1500);
});

// Durations of what goes on.
const short = (seconds) => {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} m ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 24 ? `${hours} h ${minutes % 60} m` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
};
const tick = () => {
  for (const one of all("[data-durable-since]")) {
    one.textContent = short(Math.max(0, (Date.now() - Date.parse(one.dataset.durableSince)) / 1000));
  }
};
setInterval(() => document.hidden || tick(), 1000);

// How many match: asked for once the page is there.
const count = async (place) => {
  const answer = await fetch(place.dataset.durableCount, { headers: { Accept: "application/json" } });
  if (!answer.ok) return;
  const found = await answer.json();
  place.textContent = `· ${found.count.toLocaleString()}${found.is_capped ? "+" : ""} ${place.dataset.durableWord}`;
};
all("[data-durable-count]").forEach(count);

// Finding steps, and hiding waits.
const enhance = () => {
  all("[data-durable-find], [data-durable-waits], [data-durable-live], [data-durable-keys-open]").forEach((one) => { one.hidden = false; });
};
document.addEventListener("input", (event) => {
  const field = event.target;
  if (field.matches("[data-durable-find]")) {
    const wanted = field.value.toLowerCase();
    for (const one of all("[data-durable-name]")) {
      one.classList.toggle("is-out", !one.dataset.durableName.toLowerCase().includes(wanted));
    }
  } else if (field.closest("[data-durable-waits]")) {
    document.documentElement.classList.toggle("durable-hide-waits", field.checked);
  }
});

// A table that is wider than its place fades out at the edge behind which it goes on.
const showEdges = () => {
  for (const box of all(".durable .results, .durable .durable-scroll")) {
    box.classList.toggle("goes-on", box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
  }
};
addEventListener("resize", showEdges);
addEventListener("load", showEdges);
document.addEventListener("scroll", showEdges, true);

// Refreshing: the same URL, only the region; never under somebody's hands.
const region = document.querySelector("[data-durable-region]");
const KEY = "durable-refresh";
let seconds = Number(localStorage.getItem(KEY) || 0);
let etag = "";
let timer = 0;

const isBusy = () =>
  document.hidden ||
  document.querySelector("dialog[open], .durable-menu[open]") ||
  all("input.action-select:checked").length > 0 ||
  ["INPUT", "SELECT", "TEXTAREA"].includes(document.activeElement?.tagName);

const fetchRegion = async () => {
  const headers = { "X-Durable-Fragment": region.dataset.durableRegion };
  if (etag) headers["If-None-Match"] = etag;
  const answer = await fetch(region.dataset.durableUrl || location.href, { headers, cache: "no-store" });
  if (answer.status !== 200) return null;
  etag = answer.headers.get("ETag") || "";
  return answer.text();
};

// Cards that take longer than a page may: asked for once the page is there.
const fetchLate = async (place) => {
  const answer = await fetch(place.dataset.durableLate, { headers: { "X-Durable-Fragment": "durations" } });
  if (answer.ok) place.replaceChildren(...parsed(await answer.text()).childNodes);
};

const parsed = (text) => new DOMParser().parseFromString(text, "text/html").body;
const keyOf = (row) => row.querySelector("a.durable-id")?.getAttribute("href");

// The cells of rows that are there are renewed, never the rows: the admin's script holds on to their check
// boxes. New rows wait behind a button.
const cellsOf = (row) => [...row.cells].filter((cell) => !cell.classList.contains("action-checkbox"));
const renewRows = (text) => {
  const fresh = parsed(text);
  const known = new Map(all("tbody tr", region).map((row) => [keyOf(row), row]));
  let added = 0;
  for (const row of all("tbody tr", fresh)) {
    const old = known.get(keyOf(row));
    if (!old) added += 1;
    else if (!old.contains(document.activeElement)) {
      const fresh = cellsOf(row);
      cellsOf(old).forEach((cell, at) => cell.replaceChildren(...(fresh[at]?.childNodes ?? [])));
    }
  }
  const pill = document.querySelector("[data-durable-pill]");
  if (pill) {
    pill.hidden = added === 0 && known.size > 0;
    pill.textContent = `${added} ${pill.dataset.durablePill}`;
  }
};

const renewRun = (text) => {
  const focused = document.activeElement?.getAttribute?.("href");
  const nameOf = (details) => details.id || details.querySelector("summary").textContent;
  const open = all("details[open]", region).map(nameOf);
  region.replaceChildren(...parsed(text).childNodes);
  for (const one of all("details", region)) one.open = open.includes(nameOf(one));
  enhance();
  setUp();
  if (focused) all("a[href]", region).find((one) => one.getAttribute("href") === focused)?.focus();
};

const refresh = async () => {
  clearTimeout(timer);
  if (!region || !seconds) return;
  if (!isBusy() && !new URLSearchParams(location.search).has("cursor")) {
    try {
      const text = await fetchRegion();
      if (text !== null) (region.dataset.durableRegion === "rows" ? renewRows : renewRun)(text);
    } catch { /* the next one may come through */ }
  }
  timer = setTimeout(refresh, seconds * 1000);
};

const setUp = () => {
  showEdges();
  for (const one of all("[data-durable-live] select")) {
    one.value = String(seconds);
    one.onchange = () => {
      seconds = Number(one.value);
      localStorage.setItem(KEY, one.value);
      one.blur();
      refresh();
    };
  }
};
document.querySelector("[data-durable-pill]")?.addEventListener("click", () => location.reload());

// What a cron expression means, while it is typed: the server says it.
const preview = document.querySelector("[data-durable-preview]");
const showPreview = async () => {
  const { cron, timezone } = preview.closest("form").elements;
  const query = new URLSearchParams({ cron: cron.value, timezone: timezone.value });
  const answer = await fetch(`${preview.dataset.durablePreview}?${query}`);
  if (answer.ok) preview.replaceChildren(...parsed(await answer.text()).childNodes);
};
let previewTimer = 0;
preview?.closest("form").addEventListener("input", (event) => {
  if (!["cron", "timezone"].includes(event.target.name)) return;
  clearTimeout(previewTimer);
  previewTimer = setTimeout(showPreview, 300);
});

// Keys, unless they are switched off. In lists j and k move, Enter opens, x selects, / searches; everywhere r
// renews, g and a letter go to another page, ? shows them all.
const KEYS_OFF = "durable-keys-off";
const help = document.querySelector("[data-durable-keys]");
const PAGES = { o: "overview", r: "workflow", a: "approval", s: "schedule", q: "queue", w: "worker", b: "bulkoperation", u: "auditevent" };
let went = 0;

const go = (key) => {
  const base = location.pathname.match(/^.*\/durable_app\//)?.[0];
  if (base && PAGES[key]) location.assign(`${base}${PAGES[key]}/`);
};

const inList = (key) => {
  const links = all('[data-durable-region="rows"] a.durable-id');
  if (!links.length) return false;
  const at = links.findIndex((one) => one.closest("tr").contains(document.activeElement));
  const step = { j: 1, k: -1 }[key];
  if (step) links[Math.min(links.length - 1, Math.max(0, at + step))].focus();
  else if (key === "x" && at >= 0) links[at].closest("tr").querySelector("input.action-select")?.click();
  else if (key === "/") document.querySelector("#searchbar")?.focus();
  else return false;
  return true;
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, button, dialog")) return;
  if (localStorage.getItem(KEYS_OFF)) return;
  const follows = Date.now() - went < 1500;
  went = 0;
  if (follows) go(event.key);
  else if (event.key === "g") went = Date.now();
  else if (event.key === "?") help?.showModal();
  else if (event.key === "r" && region) location.reload();
  else if (!inList(event.key)) return;
  event.preventDefault();
});

if (help) {
  const choice = help.querySelector("input[type=checkbox]");
  choice.checked = !localStorage.getItem(KEYS_OFF);
  choice.onchange = () => (choice.checked ? localStorage.removeItem(KEYS_OFF) : localStorage.setItem(KEYS_OFF, "1"));
  help.querySelector("[data-durable-keys-close]").onclick = () => help.close();
  document.addEventListener("click", (event) => event.target.closest("[data-durable-keys-open]") && help.showModal());
}

all("[data-durable-late]").forEach(fetchLate);
enhance();
setUp();
if (seconds) timer = setTimeout(refresh, seconds * 1000);
