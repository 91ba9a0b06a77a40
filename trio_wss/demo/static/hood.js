// Under the hood: where the session is, how far each topic has come, and what became of connections.
import { nameOf } from "./names.js";
import { $, addLine, clock, make } from "./page.js";

const STORY = 30; // lines
const POINTS = 40; // of the curve
const EVERY = 2000; // milliseconds between two measurements
const AWAY = 3; // seconds that a dropped connection stays away

export function startHood(client, { nodeName, learn }) {
  const places = new Map(); // topic: the offset that must come next
  const times = [];
  let seen = 0;
  let gaps = 0;
  let lostAt = 0;
  let drawing = false;

  function tell(text) {
    addLine($("story"), make("li", {}, make("time", {}, clock(Date.now(), true)), text), STORY);
  }

  function state(name, text) {
    $("state").dataset.state = name;
    $("state").textContent = text;
  }

  function draw() {
    drawing = false;
    $("you").textContent = client.session ? nameOf(client.session) : "–";
    $("node").textContent = client.node ? nodeName(client.node) : "–";
    $("session").textContent = client.session || "–";
    $("unanswered").textContent = client.unanswered;
    $("seen").textContent = `${seen.toLocaleString()} seen, ${gaps} missing`;
    const rows = [...client.topics].filter(([topic]) => !/^(all$|session:|user:)/.test(topic));
    const cells = rows.map(([topic, [, offset]]) => make("tr", {}, make("td", {}, topic), make("td", {}, String(offset))));
    $("topics").replaceChildren(...cells);
  }

  function soon() {
    if (!drawing) setTimeout(draw, 100);
    drawing = true;
  }

  function measured(milliseconds) {
    times.push(milliseconds);
    if (times.length > POINTS) times.shift();
    $("latency").textContent = `${milliseconds.toFixed(1)} ms`;
    const most = Math.max(5, ...times);
    const points = times.map((time, at) => `${(at * 100) / (POINTS - 1)},${20 - (19 * time) / most}`);
    $("spark").firstElementChild.setAttribute("points", points.join(" "));
  }

  async function measure() {
    if (client.state !== "connected" || document.hidden) return;
    const began = performance.now();
    try {
      await client.send("where", undefined, { signal: AbortSignal.timeout(EVERY) });
      measured(performance.now() - began);
    } catch {
      // The next one may come through.
    }
  }

  /** Count what comes, and what does not, without trusting the client that counts too. */
  function check(_, { topic, offset }) {
    if (offset === undefined) return;
    const next = places.get(topic);
    if (next !== undefined && offset !== next) gaps += Math.abs(offset - next);
    places.set(topic, offset + 1);
    seen += 1;
    soon();
  }

  for (const event of ["posted", "said", "tapped", "board", "entered", "gone", "node", "kill"]) client.on(event, check);
  client.on("wss.joined", ({ topic, offset, recovered }) => {
    if (!recovered && !/^(all$|session:)/.test(topic)) tell(`Broadcasts of ${topic} were lost.`);
    if (!recovered || !places.has(topic)) places.set(topic, offset + 1);
    soon();
  });
  client.on("wss.connected", async ({ node, resumed }) => {
    const away = lostAt ? ` after ${((performance.now() - lostAt) / 1000).toFixed(1)} s` : "";
    if (!resumed) places.clear();
    state("connected", "Connected");
    soon();
    await learn(client); // the node's name
    tell(`${resumed ? "Resumed the session" : "A new session"} on node ${nodeName(node)}${away}.`);
    soon();
  });
  client.on("wss.disconnected", ({ code, reason, wait }) => {
    if ($("state").dataset.state === "connected") {
      lostAt = performance.now();
      tell(`The connection ended: ${code}${reason && `, ${reason}`}.`);
    }
    if (wait === null) state("closed", `Closed: ${reason || code}`);
    else state("waiting", "Reconnecting…");
    soon();
  });

  $("drop").addEventListener("click", () => {
    if (client.state !== "connected") return;
    tell("You drop the connection. What others do meanwhile comes later.");
    client.reconnect(AWAY);
  });
  setInterval(measure, EVERY);
  setInterval(soon, 1000);
  measure();
  return { tell, soon };
}
