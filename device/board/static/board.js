// Board: the box's events come in; the page shown goes out. It never shows time, age or flag that the box has not just said.
"use strict";

(() => {
  const RETRY_MS = 2000;
  const SILENT_MS = 6000; // as long as the animation of .lost in board.css, which covers the page without any script
  const root = document.documentElement;
  const announcer = document.getElementById("announcer");
  let source = null;
  let version = null;
  let lastEventAt = Date.now();

  function connect() {
    if (source) source.close();
    source = new EventSource("/events");
    source.addEventListener("page", (event) => take(JSON.parse(event.data)));
    source.addEventListener("beat", (event) => beat(JSON.parse(event.data)));
  }

  function take(data) {
    if (data.build !== document.body.dataset.build) return location.reload();
    swap(new DOMParser().parseFromString(data.html, "text/html"));
    version = data.version;
    received(data);
  }

  function beat(data) {
    // A beat that belongs to another page means that one was missed.
    if (data.version === version) received(data);
    else connect();
  }

  function received(data) {
    lastEventAt = Date.now();
    document.getElementById("clock").textContent = data.clock;
    for (const time of document.querySelectorAll("[data-since]")) {
      const text = span(data.now - Number(time.dataset.since));
      if (time.textContent !== text) time.textContent = text;
    }
    // Another animation of the same length: the cover's six seconds start again.
    root.classList.toggle("beat");
    root.classList.remove("covered");
  }

  function swap(fresh) {
    const focused = document.activeElement?.id;
    for (const id of ["notices", "top", "foot"]) {
      const before = document.getElementById(id);
      const after = fresh.getElementById(id);
      if (before.dataset.mark === after.dataset.mark) continue;
      keepSwitch(before, after);
      before.replaceWith(document.adoptNode(after));
      if (id === "top") announcer.textContent = after.dataset.announcement;
    }
    swapList(document.getElementById("list"), fresh.getElementById("list"));
    if (focused && document.activeElement === document.body) document.getElementById(focused)?.focus();
  }

  // What a reader has opened stays open for this exposure, and is never open for another one.
  function keepSwitch(before, after) {
    const [old, fresh] = [before, after].map((part) => part.querySelector(".switch"));
    if (old && fresh && old.id === fresh.id) fresh.checked = old.checked;
  }

  // A line always belongs to one result: it is kept whole or replaced whole, never filled with another exposure.
  function swapList(list, fresh) {
    const name = (line) => line.dataset.key + line.dataset.mark;
    const wanted = Array.from(fresh.children);
    const names = new Set(wanted.map(name));
    const shown = new Map(Array.from(list.children, (line) => [line.dataset.key, line]));
    for (const line of wanted) if (shown.has(line.dataset.key)) keepSwitch(shown.get(line.dataset.key), line);
    for (const line of Array.from(list.children)) if (!names.has(name(line))) line.remove();
    const kept = new Map(Array.from(list.children, (line) => [name(line), line]));
    let place = list.firstElementChild;
    for (const line of wanted) {
      const node = kept.get(name(line)) || document.adoptNode(line);
      if (node === place) place = place.nextElementSibling;
      else list.insertBefore(node, place);
    }
  }

  // As span() in formatting.py.
  function span(milliseconds) {
    const total = Math.max(0, Math.floor(milliseconds / 1000));
    const days = Math.floor(total / 86400);
    const hours = Math.floor(total / 3600);
    const minutes = Math.floor(total / 60) % 60;
    if (days >= 2) return `${days} days`;
    if (hours) return `${hours} h ${String(minutes).padStart(2, "0")} min`;
    if (minutes >= 10) return `${minutes} min`;
    return minutes ? `${minutes} min ${String(total % 60).padStart(2, "0")} s` : `${total} s`;
  }

  function cover() {
    if (!root.classList.contains("covered")) announcer.textContent = "Connection to the box lost. Flags may be out of date.";
    root.classList.add("covered");
  }

  setInterval(() => {
    // The wall clock also counts the time this computer slept.
    if (Math.abs(Date.now() - lastEventAt) > SILENT_MS) cover();
    if (source && source.readyState === EventSource.CLOSED) connect();
  }, RETRY_MS / 2);

  // A hidden page needs no stream (browsers allow only six); what it showed is old until it has been fetched again.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      cover();
      source.close();
      source = null;
    } else connect();
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
  connect();
})();
