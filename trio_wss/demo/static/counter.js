// The counter. Its broadcasts come in order, so each number must be the last one plus one: it checks.
import { $ } from "./page.js";

export function startCounter(client, room) {
  let count = null;
  let mine = 0;
  let inOrder = 0;
  let wrong = 0;
  let drawing = false;

  function draw() {
    drawing = false;
    if (count !== null) $("count").textContent = count.toLocaleString();
    const order = wrong ? `${wrong} out of order` : "each one in order";
    $("taps").textContent = `${mine} of them are yours. ${inOrder.toLocaleString()} seen come in, ${order}.`;
  }

  function soon() {
    if (!drawing) requestAnimationFrame(draw);
    drawing = true;
  }

  client.on("tapped", ({ n, by }) => {
    if (count !== null && n <= count) return; // it came with the room's state
    if (count !== null && n !== count + 1) wrong += 1;
    if (by === client.session) mine += 1;
    inOrder += 1;
    count = n;
    soon();
  });

  const tap = () => client.send("tap", { room }).catch(() => {});
  $("tap").addEventListener("click", tap);
  $("hammer").addEventListener("click", () => {
    for (let i = 0; i < 100; i++) tap();
  });

  return {
    reset({ taps }) {
      count = taps;
      soon();
    },
  };
}
