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

test("what came before is dropped", async (t) => {
  const { heard } = await started(t);
  FakeSocket.last.receive(joined(3), said(4), said(5), said(4), said(5), said(6));
  assert.deepEqual(offsets(heard), [4, 5, 6]);
});

test("an epoch may change while the offsets go on", async (t) => {
  const { heard } = await started(t);
  FakeSocket.last.receive(joined(3), said(4), said(5, "f"), said(6, "g"));
  assert.deepEqual(offsets(heard), [4, 5, 6]);
});

test("a volatile broadcast is always new", async (t) => {
  const { client, heard } = await started(t);
  const event = { event: "said", topic: "room:a", data: 1 };
  FakeSocket.last.receive(event, event);
  assert.equal(heard.length, 2);
  assert.equal(client.topics.size, 0);
});

test("after a resume it goes on where it was", async (t) => {
  const { heard } = await started(t);
  FakeSocket.last.receive(joined(3), said(4));
  FakeSocket.last.lose();
  await pass(0.25);
  FakeSocket.last.welcome({ resumed: true });
  FakeSocket.last.receive(joined(4), said(5));
  assert.deepEqual(offsets(heard), [4, 5]);
});

test("history that was lost is told, and it goes on from there", async (t) => {
  const { client, heard } = await started(t);
  FakeSocket.last.receive(joined(3), joined(97, { epoch: "f", recovered: false }), said(98, "f"));
  assert.deepEqual(heard[1][1], { topic: "room:a", epoch: "f", offset: 97, recovered: false });
  assert.deepEqual(offsets(heard), [98]);
  assert.deepEqual(client.topics.get("room:a"), ["f", 98]);
});

test("a gap that the server did not tell is told all the same", async (t) => {
  const { heard } = await started(t);
  for (const next of [said(6), said(2, "f")]) {
    FakeSocket.last.receive(joined(3), said(4), next);
    assert.deepEqual(
      heard.at(-2).slice(0, 2),
      ["wss.joined", { topic: "room:a", epoch: next.epoch, offset: next.offset - 1, recovered: false }],
    );
    assert.equal(offsets(heard).at(-1), next.offset);
  }
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

test("a topic that was left is not resumed", async (t) => {
  const { client } = await started(t);
  const heard = [];
  client.on("wss.left", (data) => heard.push(data.topic));
  FakeSocket.last.receive(joined(3), { event: "wss.left", data: { topic: "room:a" } });
  assert.deepEqual(heard, ["room:a"]);
  FakeSocket.last.lose();
  await pass(0.25);
  assert.deepEqual(FakeSocket.last.open().sent[0].data.topics, {});
});

test("a broadcast in a topic that was never announced is taken as it comes", async (t) => {
  const { heard } = await started(t);
  FakeSocket.last.receive(said(7), said(8));
  assert.deepEqual(offsets(heard), [7, 8]);
});
