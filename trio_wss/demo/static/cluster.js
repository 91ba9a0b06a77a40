// The nodes, where the demo runs on several that may be killed; elsewhere the part stays hidden.
import { nameOf } from "./names.js";
import { $, explain, make } from "./page.js";

export function startCluster(client, names, tell) {
  let nodes = {};
  let here = "";
  let alone = false; // this server has no such thing

  function draw() {
    $("cluster").hidden = false;
    const items = Object.keys(nodes).sort().map((name) => {
      const up = nodes[name];
      const kill = make("button", { type: "button", "aria-label": `Kill node ${name}` }, "Kill");
      kill.disabled = !up;
      kill.addEventListener("click", () => client.send("kill", { node: name }).catch((error) => tell(explain(error))));
      const kind = `${name === here ? "here" : ""} ${up ? "" : "down"}`;
      const text = !up ? "is down" : name === here ? "you are here" : "is up";
      return make("li", { className: kind }, make("b", {}, `Node ${name}`), make("small", {}, text), kill);
    });
    const focused = [...$("nodes").querySelectorAll("button")].indexOf(document.activeElement);
    $("nodes").replaceChildren(...items);
    $("nodes").querySelectorAll("button")[focused]?.focus();
  }

  client.on("node", ({ node, up }) => {
    if (nodes[node] === up) return;
    nodes[node] = up;
    tell(`Node ${node} is ${up ? "up again" : "down"}.`);
    draw();
  });
  client.on("wss.disconnected", () => {
    here = "";
    if (Object.keys(nodes).length) draw();
  });
  client.on("kill", ({ node, by }) => {
    tell(`${by === client.session ? "You kill" : `${nameOf(by)} kills`} node ${node}.`);
  });

  /** Ask a client's node for its name, and which others there are. */
  async function learn(who) {
    if (alone) return;
    try {
      const { data } = await who.send("cluster", undefined, { again: true });
      names.set(who.node, data.here);
      nodes = data.nodes;
      if (who === client) here = data.here;
      draw();
    } catch (error) {
      alone = error.code === "unknown_event";
    }
  }

  return { learn };
}
