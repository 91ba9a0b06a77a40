// Events and their answers: once each, in order, over as many connections as it takes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectionLost, EventError, OutcomeUnknown } from "../../../trio_wss/web/trio-wss.js";
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

const circular = {};
circular.self = circular;
const HALF = "😀".slice(0, 1);
const CANNOT_BE_SENT = {
  "a BigInt": ["say", 1n],
  "a circle": ["say", circular],
  "no event": [],
  "an event that is a number": [5],
  "an event that is an object": [{ toString: () => "say" }],
  "half an emoji in the event's name": [`say${HALF}`],
  "a name of the server's": ["wss.ping"],
  "an option that there is not": ["say", 1, { agian: true }],
  "a signal that is none": ["say", 1, { signal: 5 }],
};

for (const [what, call] of Object.entries(CANNOT_BE_SENT)) {
  test(`${what} is refused at once, and uses up no id`, async (t) => {
    const { client } = await started(t);
    for (let n = 0; n < 100; n++) await assert.rejects(client.send(...call), TypeError);
    assert.equal(client.unanswered, 0);
    client.send("say", null, null).catch(() => {});
    assert.deepEqual(FakeSocket.last.sent, [{ event: "say", id: 1, data: null }]);
  });
}

test("what the data itself throws is what the promise is rejected with", async (t) => {
  const { client } = await started(t);
  const data = {
    toJSON() {
      throw new RangeError("mine");
    },
  };
  await assert.rejects(client.send("say", data), /mine/);
  assert.deepEqual([client.unanswered, FakeSocket.last.sent], [0, []]);
});

test("data that closes the client, or aborts, while it is read settles its event all the same", async (t) => {
  const { client } = await started(t);
  const control = new AbortController();
  const aborts = { toJSON: () => control.abort(new Error("enough")) };
  await assert.rejects(client.send("say", aborts, { signal: control.signal }), /enough/);
  await assert.rejects(client.send("say", { toJSON: () => client.close() }), ConnectionLost);
});

test("what JSON.stringify makes of data is sent, and the node may refuse it", async (t) => {
  const { client } = await started(t);
  const deep = JSON.parse("[".repeat(80) + "]".repeat(80));
  for (const data of [HALF, deep, NaN, [undefined, () => {}], () => {}]) {
    client.send("say", data).catch(() => {});
  }
  assert.deepEqual(FakeSocket.last.events.map(({ data }) => data), [
    HALF, deep, null, [null, null], undefined,
  ]);
});

// --- answers that never come

test("two events that get no answer do not hold up the hundred behind them", async (t) => {
  const { client } = await started(t);
  const bad = [1, 2].map((n) => watch(client.send("bad", n)));
  const good = Array.from({ length: 100 }, (_, n) => watch(client.send("say", n)));
  const socket = FakeSocket.last;
  let read = 0;
  const node = () => {
    for (const { id, event, data } of socket.events.slice(read)) {
      read += 1;
      if (event === "bad") socket.receive({ event: "wss.error", data: { code: "invalid", message: "" } });
      else socket.receive({ event: "ok", re: id, data });
    }
  };
  node();
  await settle();
  assert.equal(good.filter(({ state }) => state === "done").length, 62, "the window is full");
  for (let n = 0; n < 11; n++) {
    await pass(1);
    socket.receive({ event: "tick" });
    node();
  }
  await settle();
  assert.deepEqual(good.map(({ value }) => value?.data), Array.from({ length: 100 }, (_, n) => n));
  for (const { error } of bad) {
    assert.ok(error instanceof OutcomeUnknown);
    assert.deepEqual([error.code, error.message], [0, "the node gives this event no answer"]);
  }
  assert.equal(client.unanswered, 0);
  assert.equal(client.state, "connected");
});

test("the last event that is sent is settled, too, if only signs of life come", async (t) => {
  const { client } = await started(t);
  const answer = watch(client.send("say"));
  for (let n = 0; n < 11; n++) {
    await pass(5);
    FakeSocket.last.receive({ event: "wss.pong" });
  }
  assert.equal(answer.state, "pending");
  await pass(5);
  FakeSocket.last.receive({ event: "wss.pong" });
  await settle();
  assert.ok(answer.error instanceof OutcomeUnknown);
  FakeSocket.last.receive({ event: "ok", re: 1 }); // too late
  assert.equal(client.state, "connected");
});

test("nobody who waits for 64 that get no answer waits for ever", async (t) => {
  const { client } = await started(t);
  const answers = Array.from({ length: 70 }, () => watch(client.send("say")));
  for (let n = 0; n < 25; n++) {
    await pass(5);
    FakeSocket.last.receive({ event: "wss.pong" });
  }
  await settle();
  assert.deepEqual(new Set(answers.map(({ state }) => state)), new Set(["failed"]));
  assert.equal(client.unanswered, 0);
});

for (const code of ["unavailable", "rate_limited"]) {
  test(`${code} may come out of turn, and blames no event before it`, async (t) => {
    const { client } = await started(t, { random: 1 });
    const first = watch(client.send("say"));
    const second = watch(client.send("say"));
    FakeSocket.last.receive({ event: "wss.error", re: 2, data: { code } });
    for (let n = 0; n < 20; n++) {
      await pass(1);
      FakeSocket.last.receive({ event: "tick" });
    }
    assert.equal(first.state, "pending");
    assert.equal(second.state, code === "unavailable" ? "pending" : "failed");
  });
}

test("an event that is unavailable for long is sent again for as long", async (t) => {
  const { client } = await started(t, { random: 1 });
  const answer = watch(client.send("say"));
  for (let n = 0; n < 30; n++) {
    FakeSocket.last.receive({ event: "wss.error", re: 1, data: { code: "unavailable" } });
    await pass(5);
  }
  assert.equal(answer.state, "pending");
});

test("nor is a page's sleep: the answer may lie behind the first thing that it hears", async (t) => {
  const { client } = await started(t, { pingInterval: 1, pingTimeout: 1 });
  const answer = watch(client.send("say"));
  t.mock.method(Date, "now", () => 1_000_000); // no timer ran meanwhile
  FakeSocket.last.receive({ event: "tick" });
  await settle();
  assert.equal(answer.state, "pending");
  FakeSocket.last.receive({ event: "ok", re: 1 });
  await settle();
  assert.equal(answer.state, "done");
});

test("an outage is no time in which a node gave no answer", async (t) => {
  const { client } = await started(t, { random: 0 });
  const answer = watch(client.send("say"));
  FakeSocket.last.lose();
  for (let n = 0; n < 12; n++) {
    await pass(10);
    if (n < 11) FakeSocket.last.lose();
  }
  FakeSocket.last.welcome({ resumed: true, last: 1 }).receive({ event: "tick" });
  await settle();
  assert.equal(answer.state, "pending");
  FakeSocket.last.receive({ event: "ok", re: 1 });
  assert.equal(client.unanswered, 0);
});

// --- promises that nobody awaits

for (const how of ["close", "the node's Close", "a new session", "a closed client"]) {
  test(`an event that nobody awaits is no unhandled rejection at ${how}`, async (t) => {
    const { client } = await started(t, { random: 0 });
    if (how !== "a closed client") client.send("say");
    if (how === "a new session") {
      FakeSocket.last.lose();
      await pass(0);
      FakeSocket.last.welcome({ session: "s2" });
    } else if (how === "the node's Close") {
      FakeSocket.last.lose(4000);
    } else {
      client.close();
    }
    if (how === "a closed client") client.send("say");
    await settle(); // the test's runner fails it for a rejection that nobody handles
    if (how !== "a new session") await assert.rejects(client.send("say"), ConnectionLost);
  });
}

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
