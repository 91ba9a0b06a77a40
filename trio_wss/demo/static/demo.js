// The page: one client, and the parts that listen to it.
import { connect } from "/trio-wss.js";
import { startChat } from "./chat.js";
import { startCluster } from "./cluster.js";
import { startCounter } from "./counter.js";
import { startGame } from "./game.js";
import { startHood } from "./hood.js";
import { $ } from "./page.js";

const room = new URLSearchParams(location.search).get("room")?.trim().slice(0, 40) || "lobby";
const names = new Map(); // of nodes, where they have any
const nodeName = (node) => names.get(node) ?? node.slice(0, 6);

$("room").value = room;
document.title = `${room} · trio-wss`;

const client = connect(`/?room=${encodeURIComponent(room)}`);
const { learn } = startCluster(client, names, (text) => hood.tell(text));
const hood = startHood(client, { nodeName, learn });
const chat = startChat(client, room);
const parts = [chat, startCounter(client, room), startGame(client, room, { nodeName, learn })];

/** Read the room's state, and show it in place of what is shown. */
async function look() {
  try {
    const { data } = await client.send("look", { room }, { again: true });
    for (const part of parts) part.reset(data);
  } catch (error) {
    if (error.code === "conflict") look();
    else hood.tell(`The room cannot be read: ${error.message}`);
  }
}

let first = true;
client.on("wss.connected", ({ resumed }) => {
  if (resumed) return;
  if (!first) chat.lost();
  first = false;
  look();
});
client.on("wss.joined", ({ topic, recovered }) => {
  if (recovered || !topic.endsWith(`:${room}`)) return;
  if (topic === `room:${room}`) chat.lost();
  look();
});

window.client = client; // for whoever plays in the console
