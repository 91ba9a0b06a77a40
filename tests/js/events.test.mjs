// Events and their answers: once each, in order, over as many connections as it takes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectionLost, EventError, OutcomeUnknown } from "../../trio_wss/web/trio-wss.js";
import { FakeSocket, pass, settle, start, started, watch } from "./fake.mjs";

const ids = (socket) => socket.events.map((frame) => frame.id);

test("send gives the answer", async (t) => {
  const { client } = await started(t);
  const reply = client.send("say", { text: "hi" });
  const bare = client.send("nod");
  assert.deepEqual(FakeSocket.last.sent, [
    { event: "say", id: 1, data: { text: "hi" } },
    { event: "nod", id: 2 },
  ]);
  assert.equal(client.unanswered, 2);
  FakeSocket.last.receive({ event: "wss.ok", re: 2 }, { event: "ok", re: 1, data: { n: 7 } });
  assert.deepEqual(await reply, { event: "ok", data: { n: 7 } });
  assert.deepEqual(await bare, { event: "wss.ok", data: undefined });
  assert.equal(client.unanswered, 0);
});

test("an error answer is an EventError", async (t) => {
  const { client } = await started(t);
  const answer = client.send("say");
  const data = { code: "invalid", message: "data.text: is missing", path: "data.text" };
  FakeSocket.last.receive({ event: "wss.error", re: 1, data });
  await assert.rejects(answer, (error) => {
    assert.ok(error instanceof EventError && error instanceof Error);
    assert.deepEqual({ name: error.name, code: error.code, message: error.message, path: error.path }, {
      name: "EventError",
      ...data,
    });
    return true;
  });
});

test("data that JSON cannot hold is refused, and uses up no id", async (t) => {
  const { client } = await started(t);
  await assert.rejects(client.send("say", 1n), TypeError);
  client.send("say", null).catch(() => {});
  assert.deepEqual(FakeSocket.last.sent, [{ event: "say", id: 1, data: null }]);
});

test("what was sent is what the data was then", async (t) => {
  const { client } = start(t);
  const data = { n: 1 };
  client.send("say", data).catch(() => {});
  data.n = 2;
  await settle();
  FakeSocket.last.welcome();
  assert.equal(FakeSocket.last.events[0].data.n, 1);
});

test("events wait for the welcome, and go out in order before those of its listeners", async (t) => {
  const { client } = start(t);
  client.on("wss.connected", () => void client.send("c").catch(() => {}));
  client.send("a").catch(() => {});
  client.send("b").catch(() => {});
  await settle();
  FakeSocket.last.open();
  assert.deepEqual(FakeSocket.last.sent, []);
  FakeSocket.last.welcome();
  assert.deepEqual(FakeSocket.last.sent.map((frame) => frame.event), ["a", "b", "c"]);
});

test("unanswered events are sent again with their ids, before new ones", async (t) => {
  const { client } = await started(t);
  const first = client.send("say", 1);
  const second = client.send("say", 2);
  const third = client.send("say", 3);
  FakeSocket.last.receive({ event: "ok", re: 2 });
  await second;
  FakeSocket.last.lose();
  const fourth = client.send("say", 4); // while there is no connection
  await pass(0.25);
  FakeSocket.last.welcome({ resumed: true, last: 3 });
  const frames = FakeSocket.last.events;
  assert.deepEqual(frames.map(({ id, data }) => [id, data]), [[1, 1], [3, 3], [4, 4]]);
  for (const { id, data } of frames) FakeSocket.last.receive({ event: "ok", re: id, data });
  const answers = await Promise.all([first, third, fourth]);
  assert.deepEqual(answers.map(({ data }) => data), [1, 3, 4]);
});

test("new ids begin above the last that the session has used", async (t) => {
  const { client } = await started(t);
  FakeSocket.last.lose();
  await pass(0.25);
  FakeSocket.last.welcome({ resumed: true, last: 9 });
  client.send("say").catch(() => {});
  assert.deepEqual(ids(FakeSocket.last), [10]);
});

test("in a new session the outcome of what was sent is unknown, and the rest is sent", async (t) => {
  const { client, heard } = await started(t);
  const sent = watch(client.send("say", "sent"));
  const again = watch(client.send("say", "again", { again: true }));
  FakeSocket.last.lose(1001, "gone");
  const unsent = watch(client.send("say", "unsent"));
  await pass(0.25);
  FakeSocket.last.welcome({ session: "s2", token: "s2.x" });
  await settle();
  assert.ok(sent.error instanceof OutcomeUnknown && sent.error instanceof ConnectionLost);
  assert.deepEqual([sent.error.code, sent.error.reason], [1001, "gone"]);
  assert.equal(heard.at(-1)[1].resumed, false);
  assert.deepEqual(FakeSocket.last.events, [
    { event: "say", id: 1, data: "again" },
    { event: "say", id: 2, data: "unsent" },
  ]);
  FakeSocket.last.receive({ event: "ok", re: 1 }, { event: "ok", re: 2 });
  await settle();
  assert.deepEqual([again.state, unsent.state], ["done", "done"]);
});

test("what was never sent is lost, not unknown, when it is over", async (t) => {
  const { client } = start(t);
  const answer = watch(client.send("say"));
  await settle();
  FakeSocket.last.lose(4403);
  await settle();
  assert.equal(answer.error.constructor, ConnectionLost);
});

test("an id stays less than 64 above the oldest unanswered one", async (t) => {
  const { client } = await started(t);
  const answers = Array.from({ length: 70 }, (_, n) => watch(client.send("say", n)));
  assert.equal(ids(FakeSocket.last).at(-1), 64);
  assert.equal(client.unanswered, 70);
  for (let re = 2; re <= 64; re++) FakeSocket.last.receive({ event: "ok", re });
  assert.equal(ids(FakeSocket.last).at(-1), 64, "1 has no answer yet");
  FakeSocket.last.receive({ event: "ok", re: 1 });
  assert.equal(ids(FakeSocket.last).at(-1), 70);
  await settle();
  assert.equal(answers.filter(({ state }) => state === "done").length, 64);
});

test("what waits is bounded", async (t) => {
  const { client } = start(t);
  for (let n = 0; n < 1024; n++) client.send("say").catch(() => {});
  await assert.rejects(client.send("say"), { name: "EventError", code: "rate_limited" });
});

test("unavailable: it is sent again with its id, more and more slowly", async (t) => {
  const { client } = await started(t, { random: 1 });
  const answer = watch(client.send("say"));
  const unavailable = { event: "wss.error", re: 1, data: { code: "unavailable", message: "?" } };
  let count = 1;
  for (const wait of [0.2, 0.4, 0.8, 1.6, 3.2, 5, 5]) {
    FakeSocket.last.receive(unavailable);
    await pass(wait - 0.01);
    assert.equal(ids(FakeSocket.last).length, count);
    await pass(0.01);
    count += 1;
    assert.deepEqual(ids(FakeSocket.last), Array(count).fill(1));
  }
  FakeSocket.last.receive({ event: "ok", re: 1, data: "true" });
  await settle();
  assert.equal(answer.value.data, "true");
});

test("not everybody sends an unavailable event again at once", async (t) => {
  const { client } = await started(t, { random: 0 });
  client.send("say").catch(() => {});
  FakeSocket.last.receive({ event: "wss.error", re: 1, data: { code: "unavailable" } });
  await pass(0.09);
  assert.deepEqual(ids(FakeSocket.last), [1]);
  await pass(0.01);
  assert.deepEqual(ids(FakeSocket.last), [1, 1]);
});

test("an event that rests is not sent over a connection that came since", async (t) => {
  const { client } = await started(t, { random: 0 });
  client.send("say").catch(() => {});
  FakeSocket.last.receive({ event: "wss.error", re: 1, data: { code: "unavailable" } });
  FakeSocket.last.lose();
  await pass(0);
  FakeSocket.last.welcome({ resumed: true, last: 1 });
  await pass(1);
  assert.deepEqual(ids(FakeSocket.last), [1]);
});

test("an answer that nobody waits for is ignored", async (t) => {
  await started(t);
  FakeSocket.last.receive({ event: "ok", re: 99 });
});

// --- who does not wait any more

test("an event that nobody waits for is not sent", async (t) => {
  const { client } = start(t);
  const control = new AbortController();
  const answer = watch(client.send("say", 1, { signal: control.signal }));
  control.abort(new Error("enough"));
  await settle();
  FakeSocket.last.welcome();
  assert.equal(answer.error.message, "enough");
  assert.deepEqual(FakeSocket.last.events, []);
  await assert.rejects(client.send("say", 2, { signal: control.signal }), /enough/);
});

test("one that is out keeps its place until it is answered or its connection is over", async (t) => {
  const { client } = await started(t);
  const control = new AbortController();
  const answer = watch(client.send("say", 1, { signal: control.signal, again: true }));
  client.send("say", 2).catch(() => {});
  control.abort(new Error("enough"));
  await settle();
  assert.equal(answer.error.message, "enough");
  assert.equal(client.unanswered, 2);
  FakeSocket.last.receive({ event: "wss.error", re: 1, data: { code: "unavailable" } });
  assert.equal(client.unanswered, 1);
  FakeSocket.last.lose();
  await pass(0.25);
  FakeSocket.last.welcome({ resumed: true, last: 2 });
  assert.deepEqual(ids(FakeSocket.last), [2]);
});

test("in a new session it is not sent either", async (t) => {
  const { client } = await started(t);
  const control = new AbortController();
  FakeSocket.last.lose();
  await pass(0.25);
  FakeSocket.last.welcome({ resumed: true });
  client.send("say", 1, { signal: control.signal, again: true }).catch(() => {});
  client.reconnect();
  control.abort();
  await pass(0);
  FakeSocket.last.welcome({ session: "s2" });
  assert.deepEqual(FakeSocket.last.events, []);
});

test("a signal that outlives an event keeps nothing of it", async (t) => {
  const { client } = await started(t);
  const control = new AbortController();
  let listening = 0;
  const { signal } = control;
  t.mock.method(signal, "addEventListener", () => (listening += 1));
  t.mock.method(signal, "removeEventListener", () => (listening -= 1));
  const answer = client.send("say", 1, { signal });
  assert.equal(listening, 1);
  FakeSocket.last.receive({ event: "ok", re: 1 });
  await answer;
  assert.equal(listening, 0);
});

test("one that is out when its connection is over is not sent again", async (t) => {
  const { client } = await started(t);
  const control = new AbortController();
  client.send("say", 1, { signal: control.signal }).catch(() => {});
  control.abort();
  FakeSocket.last.lose();
  await pass(0.25);
  FakeSocket.last.welcome({ resumed: true, last: 1 });
  assert.deepEqual(FakeSocket.last.events, []);
});

for (const state of ["waiting", "connecting"]) {
  test(`nor is one that nobody waits for any more since it is ${state}`, async (t) => {
    const { client } = await started(t);
    const control = new AbortController();
    const answer = watch(client.send("say", 1, { signal: control.signal, again: true }));
    client.send("say", 2).catch(() => {});
    FakeSocket.last.lose();
    if (state === "connecting") await pass(0.25);
    assert.equal(client.state, state);
    control.abort(new Error("enough"));
    await pass(0.25);
    FakeSocket.last.welcome({ resumed: true, last: 2 });
    assert.equal(answer.error.message, "enough");
    assert.deepEqual(ids(FakeSocket.last), [2]);
    assert.equal(client.unanswered, 1);
  });
}
