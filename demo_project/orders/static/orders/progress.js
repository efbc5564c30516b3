// Keeps a page up to date: fetches the part that changes until that says it is finished.

const region = document.querySelector("[data-progress]");
const interval = Number(region?.dataset.every ?? 700); // milliseconds
const announcement = document.querySelector("[data-announcement]");
const offline = document.querySelector("[data-offline]");
let shown = "";

async function refresh() {
  try {
    const response = await fetch(region.dataset.progress, { cache: "no-store" });
    if (!response.ok) throw new Error(String(response.status));
    show(await response.text());
    offline.hidden = true;
  } catch {
    offline.hidden = false;
  }
  if (!isFinished()) setTimeout(refresh, interval);
}

function show(html) {
  if (html === shown) return;
  shown = html;
  const before = headline();
  region.innerHTML = html;
  if (headline() !== before) announcement.textContent = headline();
}

function headline() {
  return region.querySelector("[data-headline]")?.textContent ?? "";
}

function isFinished() {
  return region.querySelector("[data-finished]") !== null;
}

if (region && !isFinished()) setTimeout(refresh, interval);
