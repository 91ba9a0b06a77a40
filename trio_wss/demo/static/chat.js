// The chat: what is on its way stands below what everybody sees, until its answer comes.
import { nameOf } from "./names.js";
import { $, addLine, clock, explain, make } from "./page.js";

const MOST = 200; // lines

export function startChat(client, room) {
  const people = new Set();
  const next = new Map(); // number: a posted message that is not shown yet, and its place
  let last = 0; // the number of the newest one that is
  let known = false; // the room's state; where something was lost, its numbers may begin anew

  function show({ by, at, text }, kind, place) {
    const line = make("li", { className: by === client.session ? "mine" : "" });
    if (place) line.dataset.offset = place.offset;
    line.append(make("b", {}, by === client.session ? "You" : nameOf(by)), ` ${text} `);
    line.append(make("small", {}, at ? clock(at) : kind));
    addLine($("log"), line, MOST);
  }

  function showPeople() {
    const others = [...people].filter((who) => who !== client.session).map(nameOf);
    const shown = others.slice(0, 5).join(", ") + (others.length > 5 ? ", …" : "");
    $("people").textContent = others.length
      ? `At the table: you, ${shown} (${others.length + 1}).`
      : "You are alone here. Open this address once more, or on your phone.";
  }

  /** Show what follows in turn; the room's state brings what is missing between. */
  function showNext() {
    for (const n of next.keys()) if (n <= last) next.delete(n);
    for (; next.has(last + 1); next.delete(last)) {
      last += 1;
      const [message, place] = next.get(last);
      show(message, "", place);
    }
  }

  client.on("posted", (message, place) => {
    next.set(message.n, [message, place]);
    if (next.size > MOST) [known, last] = [true, message.n - 1]; // the state does not come
    if (known) showNext();
  });
  client.on("said", (message, place) => show(message, "from a terminal", place));
  client.on("entered", ({ who }) => showPeople(people.add(who)));
  client.on("gone", ({ who }) => showPeople(people.delete(who)));

  $("post").addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = $("text").value.trim();
    $("text").value = "";
    if (!text) return;
    const line = make("li", {}, `${text} (sending…)`);
    $("sending").append(line);
    try {
      await client.send("post", { room, text });
      line.remove();
    } catch (error) {
      line.className = "failed";
      line.textContent = `${text} (${explain(error)})`;
    }
  });

  return {
    /** Show the room as it is. What is missing before it was lost. */
    reset({ log, posts, people: now }) {
      people.clear();
      for (const who of now) people.add(who);
      showPeople();
      if (!known && posts < last) last = 0; // a Redis that lost its data begins anew
      known = true;
      const first = posts - log.length + 1;
      log.forEach((message, at) => next.set(first + at, [message]));
      last = Math.max(last, first - 1);
      showNext();
    },
    /** Say that messages are missing here. */
    lost() {
      known = false;
      next.clear();
      if ($("log").lastElementChild?.className === "lost") return;
      addLine($("log"), make("li", { className: "lost" }, "Messages were lost here. What follows is the room's state, read anew."), MOST);
    },
  };
}
