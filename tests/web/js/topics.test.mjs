// Broadcasts: every one once, in order, and a gap is told.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeSocket, joined, pass, said, started } from "./fake.mjs";

const offsets = (heard) => heard.filter(([event]) => event === "said").map(([, , { offset }]) => offset);

test("a broadcast comes with its topic and its place", async (t) => {
  const { client, heard } = await started(t);
  FakeSocket.last.receive(joined(41), said(42));
  assert.deepEqual(heard.at(-1), [
    "said",
    { n: 42 },
    { event: "said", topic: "room:a", epoch: "e", offset: 42 },
  ]);
  assert.deepEqual([...client.topics], [["room:a", ["e", 42]]]);
});

test("a volatile broadcast is always new", async (t) => {
  const { client, heard } = await started(t);
  const event = { event: "said", topic: "room:a", data: 1 };
  FakeSocket.last.receive(event, event);
  assert.equal(heard.length, 2);
  assert.equal(client.topics.size, 0);
});

test("history that was lost is told, and it goes on from there", async (t) => {
  const { client, heard } = await started(t);
  FakeSocket.last.receive(joined(3), joined(97, { epoch: "f", recovered: false }), said(98, "f"));
  assert.deepEqual(heard[1][1], { topic: "room:a", epoch: "f", offset: 97, recovered: false });
  assert.deepEqual(offsets(heard), [98]);
  assert.deepEqual(client.topics.get("room:a"), ["f", 98]);
});

test("a new session is in no topic yet", async (t) => {
  const { client, heard } = await started(t);
  FakeSocket.last.receive(joined(3), said(4));
  FakeSocket.last.lose();
  await pass(0.25);
  FakeSocket.last.welcome({ session: "s2" });
  assert.equal(client.topics.size, 0);
  FakeSocket.last.receive(joined(1, { epoch: "f" }), said(2, "f"));
  assert.deepEqual(offsets(heard), [4, 2]);
});

test("a broadcast in a topic that was never announced is taken as it comes", async (t) => {
  const { heard } = await started(t);
  FakeSocket.last.receive(said(7), said(8));
  assert.deepEqual(offsets(heard), [7, 8]);
});
