// The client over tests/client/scenarios.json, the table that the Python client is held to as well.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { FakeSocket, pass, settle, start, watch } from "./fake.mjs";

const { scenarios, steps: explained } = JSON.parse(
  readFileSync(new URL("../../client/scenarios.json", import.meta.url)),
);
const STEP = 0.125; // seconds: a clock that takes larger ones rings late

/** The steps with a value in the place of each "$". */
function filled(steps, value) {
  if (steps === "$") return value;
  if (steps === null || typeof steps !== "object") return steps;
  if (Array.isArray(steps)) return steps.map((one) => filled(one, value));
  return Object.fromEntries(Object.entries(steps).map(([key, one]) => [key, filled(one, value)]));
}

/** Without what is undefined or null. */
const plain = (found) =>
  Object.fromEntries(Object.entries(found).filter(([, one]) => one !== undefined && one !== null));

/** A client, a node, and an app that notes what it is told. Each step is one of the table's. */
class Stage {
  heard = []; // since the table asked last
  outcomes = {};
  controls = {};
  accepted = 0;

  constructor(t) {
    const { client } = start(t, { random: 0.5 });
    this.client = client;
    for (const kind of ["connected", "disconnected"]) {
      client.on(`wss.${kind}`, (data) => this.heard.push({ [kind]: data }));
    }
    for (const event of ["wss.joined", "wss.left", "wss.error", "said", "moved", "tick"]) {
      client.on(event, (data, about) => {
        // Of a refused connection the Python client's error tells.
        if (client.state === "connected") this.heard.push(plain({ ...about, data }));
      });
    }
  }

  get socket() {
    return FakeSocket.all[this.accepted - 1];
  }

  // --- the node

  accept(resumes) {
    this.accepted += 1;
    assert.equal(FakeSocket.all.length, this.accepted);
    assert.equal(this.socket.url.searchParams.has("resume"), resumes);
    this.socket.open();
  }

  welcome(data) {
    this.socket.welcome(data);
  }

  sends(frames) {
    this.socket.receive(...frames);
  }

  sends_text(text) {
    this.socket.onmessage({ data: text });
  }

  gets(frames) {
    const found = this.socket.sent.filter(({ event }) => event !== "wss.ping");
    for (const { event, data } of found) {
      if (event !== "wss.resume") continue;
      assert.ok(data.attempt >= 0);
      delete data.attempt;
    }
    assert.deepEqual(found, frames);
    this.socket.sent = this.socket.sent.filter(({ event }) => event === "wss.ping");
  }

  gets_ping() {
    assert.equal(this.socket.sent.filter(({ event }) => event === "wss.ping").length, 1);
    this.socket.sent = this.socket.sent.filter(({ event }) => event !== "wss.ping");
  }

  pong() {
    this.socket.receive({ event: "wss.pong" });
  }

  closes([code, reason]) {
    this.socket.lose(code, reason);
  }

  vanishes() {
    this.socket.lose();
  }

  left(how) {
    assert.notEqual(this.client.state, "connected");
    assert.equal(this.socket.closed === null, how === "without a Close");
  }

  // --- the app

  async passes(seconds) {
    for (let left = seconds; left > 0; left -= STEP) await pass(STEP);
  }

  app_sends({ as, event, data, again }) {
    this.controls[as] = new AbortController();
    const { signal } = this.controls[as];
    this.outcomes[as] = watch(this.client.send(event, data, { again, signal }));
  }

  app_forgets(name) {
    this.controls[name].abort();
  }

  answers(expected) {
    for (const [name, outcome] of Object.entries(expected)) {
      assert.deepEqual(outcomeOf(this.outcomes[name]), outcome, name);
    }
  }

  told(expected) {
    assert.equal(this.heard.length, expected.length, JSON.stringify(this.heard));
    for (const [index, wanted] of expected.entries()) {
      const found = this.heard[index];
      if ("event" in wanted) {
        assert.deepEqual(found, wanted);
        continue;
      }
      const [[kind, facts]] = Object.entries(wanted);
      for (const [key, value] of Object.entries(facts)) {
        if (key === "reason" && value) assert.ok(found[kind][key].includes(value), found[kind][key]);
        else assert.deepEqual(found[kind]?.[key], value, `${kind} ${key}`);
      }
    }
    this.heard = [];
  }

  /** Nothing has happened that no step has looked at. */
  checkEnd() {
    assert.deepEqual(this.heard, []);
    assert.equal(FakeSocket.all.length, this.accepted);
    assert.deepEqual(FakeSocket.all.flatMap(({ sent }) => sent), []);
  }
}

function outcomeOf({ state, value, error }) {
  if (state === "done") return plain(value);
  if (state === "pending") return "waiting";
  if (error.name === "EventError") return { error: error.code };
  return { [error.name === "OutcomeUnknown" ? "unknown" : "lost"]: error.code };
}

for (const { name, each = ["$"], steps } of scenarios) {
  for (const value of each) {
    test(name.replace("$", value), async (t) => {
      const stage = new Stage(t);
      await settle();
      for (const step of filled(steps, value)) {
        const [[verb, what]] = Object.entries(step);
        assert.ok(verb in explained);
        await stage[verb](what);
        await settle();
      }
      stage.checkEnd();
    });
  }
}
