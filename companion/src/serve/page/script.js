"use strict";
// Reads the page again when a server-sent event says that something changed, and each ten seconds for the ages in
// it. Replaces the parts that differ, and keeps what the reader opened, scrolled and focused.
(() => {
  const main = document.querySelector("main");
  const live = document.getElementById("live");
  const news = document.getElementById("news");
  const shown = new Map();
  let waiting = 0;
  let reading = false;
  let again = false;
  let followed = false;

  const say = (state, text) => {
    if (live.dataset.state !== state) {
      live.dataset.state = state;
      live.textContent = text;
    }
  };

  const replace = (part, fresh) => {
    const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
    const open = [...part.querySelectorAll("details[open]")].map((element) => element.id);
    const scrolled = [...part.querySelectorAll("[tabindex]")].map((element) => [element.id, element.scrollLeft]);
    part.replaceChildren(...fresh.childNodes);
    for (const id of open) {
      document.getElementById(id)?.setAttribute("open", "");
    }
    for (const [id, left] of scrolled) {
      const element = document.getElementById(id);
      if (element) element.scrollLeft = left;
    }
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  };

  const read = async () => {
    if (reading) {
      again = true;
      return;
    }
    reading = true;
    try {
      const response = await fetch(location.href, { cache: "no-store" });
      if (!response.ok) throw new Error(response.statusText);
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      for (const part of document.querySelectorAll("[data-live]")) {
        const fresh = page.getElementById(part.id);
        const text = fresh?.innerHTML;
        if (fresh && shown.get(part.id) !== text) {
          replace(part, fresh);
          shown.set(part.id, text);
        }
      }
      if (!main.dataset.events || followed) say("on", "Updates by itself.");
    } catch {
      say("lost", "The companion does not answer. Trying again.");
    }
    reading = false;
    if (again) {
      again = false;
      soon();
    }
  };

  // Several changes that come together are one update.
  const soon = () => {
    clearTimeout(waiting);
    waiting = setTimeout(read, 100);
  };

  const follow = () => {
    const events = new EventSource(main.dataset.events);
    events.onopen = () => {
      followed = true;
      soon();
    };
    events.onmessage = (event) => {
      news.textContent = JSON.parse(event.data).message;
      soon();
    };
    events.onerror = () => {
      followed = false;
      say("lost", "The connection is lost. Trying again.");
      // After an answer that is not a stream, a browser does not try again by itself.
      if (events.readyState === EventSource.CLOSED) setTimeout(follow, 10000);
    };
  };

  if (main.dataset.events) follow();
  for (const part of document.querySelectorAll("[data-live]")) shown.set(part.id, part.innerHTML);
  setInterval(() => document.hidden || read(), 10000);
  document.addEventListener("visibilitychange", () => document.hidden || read());
})();
