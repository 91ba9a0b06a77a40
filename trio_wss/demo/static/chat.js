// The chat: what is on its way stands below what everybody sees, until its answer comes.
import { nameOf } from "./names.js";
import { $, addLine, clock, explain, make } from "./page.js";

const MOST = 200; // lines

export function startChat(client, room) {
  const people = new Set();
  let last = 0; // the number of the newest message that was kept

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

  client.on("posted", (message, place) => {
    if (message.n <= last) return; // it came with the room's state
    last = message.n;
    show(message, "", place);
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
      if (posts < last) last = 0; // a Redis that lost its data begins anew
      const first = posts - log.length + 1;
      log.forEach((message, at) => first + at > last && show(message));
      last = posts;
    },
    /** Say that messages are missing here. */
    lost() {
      if ($("log").lastElementChild?.className === "lost") return;
      addLine($("log"), make("li", { className: "lost" }, "Messages were lost here. What follows is the room's state, read anew."), MOST);
    },
  };
}
