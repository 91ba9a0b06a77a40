// The board. A move names the turn that it saw, and the server decides.
import { connect } from "/trio-wss.js";
import { nameOf } from "./names.js";
import { $, explain, make } from "./page.js";

const LINES = ["012", "345", "678", "036", "147", "258", "048", "246"];
const MARKS = { X: "X", O: "O", ".": "" };

export function startGame(client, room, { nodeName, learn }) {
  const rivals = new Set(); // sessions
  let board = null;
  const cells = Array.from({ length: 9 }, (_, cell) => {
    const button = make("button", { type: "button" });
    button.addEventListener("click", () => move(cell));
    $("board").append(button);
    return button;
  });
  for (const button of [...cells, $("race"), $("clear")]) button.disabled = true; // without a board

  const winners = () => LINES.find(([a, b, c]) => board.cells[a] !== "." && board.cells[a] === board.cells[b] && board.cells[b] === board.cells[c]);
  const mark = () => (board.cells.split("X").length > board.cells.split("O").length ? "O" : "X");

  function draw() {
    const line = winners();
    const over = line || !board.cells.includes(".");
    cells.forEach((button, cell) => {
      const at = board.cells[cell];
      button.textContent = MARKS[at];
      button.dataset.mark = at;
      button.className = line?.includes(cell) ? "won" : "";
      button.disabled = over || at !== ".";
      button.setAttribute("aria-label", `Row ${Math.floor(cell / 3) + 1}, column ${(cell % 3) + 1}: ${MARKS[at] || "free"}`);
    });
    $("race").disabled = over;
    $("clear").disabled = false;
    if (line) $("turn").textContent = `${board.cells[line[0]]} has won.`;
    else $("turn").textContent = over ? "Nobody has won." : `Anybody may set the next ${mark()}.`;
  }

  function take(next) {
    if (board && next.turn < board.turn) return; // it came with the room's state
    board = next;
    draw();
  }

  const say = (text) => ($("verdict").textContent = text);
  const attempt = (who, cell) =>
    who.send("move", { room, cell, turn: board.turn }).then(() => null, (error) => error);

  async function move(cell) {
    const error = await attempt(client, cell);
    say(error ? `Not you: ${explain(error)}` : "Your move stands.");
  }

  /** You and a rival of yours, another client on whichever node, reach for one cell at once. */
  async function race() {
    $("race").disabled = true;
    say("A rival sits down…");
    const rival = connect(`/?room=${encodeURIComponent(room)}`, { giveUp: 5 });
    const over = new Promise((resolve) => rival.on("wss.disconnected", ({ wait }) => wait ?? resolve()));
    const ready = new Promise((resolve) => rival.on("wss.connected", resolve));
    await Promise.race([ready, over]);
    rivals.add(rival.session);
    await learn(rival);
    const free = [...board.cells].flatMap((at, cell) => (at === "." ? cell : []));
    const cell = free[Math.floor(Math.random() * free.length)];
    const first = Math.random() < 0.5 ? [rival, client] : [client, rival];
    const errors = new Map(await Promise.all(first.map(async (who) => [who, await attempt(who, cell)])));
    const [mine, theirs] = [errors.get(client), errors.get(rival)];
    const where = `you on node ${nodeName(client.node)}, your rival on ${nodeName(rival.node)}`;
    if (!mine && theirs) say(`You won the cell (${where}). Your rival was told: ${explain(theirs)}`);
    else if (mine && !theirs) say(`Your rival won the cell (${where}). You were told: ${explain(mine)}`);
    else say(`Both came too late (${where}): ${explain(mine)}`);
    rival.close();
    draw();
  }

  client.on("board", ({ board: next, by }) => {
    take(next);
    if (by !== client.session && !rivals.has(by)) say(`${nameOf(by)} was here.`);
  });
  $("race").addEventListener("click", race);
  $("clear").addEventListener("click", () => {
    client.send("clear", { room, game: board.game }).then(() => say("A new game."), (error) => say(explain(error)));
  });

  return {
    reset({ board: now }) {
      board = now;
      draw();
    },
  };
}
