// The other side of the client: sockets that a test scripts, and a clock that a test moves.
import { mock } from "node:test";
import { connect } from "../../../trio_wss/web/trio-wss.js";

/**
 * A WebSocket as far as the client uses one. `all` holds those that were made, in order.
 *
 * It tells of errors as Node's `ws` does: one that nobody listens to is thrown.
 */
export class FakeSocket {
  static all = [];

  static get last() {
    return FakeSocket.all.at(-1);
  }

  readyState = 0;
  sent = []; // frames, parsed
  closed = null; // what close() was given

  constructor(url) {
    this.url = new URL(url);
    FakeSocket.all.push(this);
  }

  send(text) {
    if (this.readyState !== 1) throw new Error(`send in state ${this.readyState}`);
    this.sent.push(JSON.parse(text));
  }

  close(code, reason) {
    if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999)) {
      throw new RangeError(`a browser does not close with ${code}`);
    }
    this.closed ??= [code, reason];
    if (this.readyState === 0) process.nextTick(() => this.#fail()); // as `ws` does: after it
    this.readyState = this.readyState === 0 ? 3 : 2;
  }

  // --- what the test makes happen

  open() {
    this.readyState = 1;
    this.onopen?.({});
    return this;
  }

  receive(...frames) {
    for (const frame of frames) this.onmessage?.({ data: JSON.stringify(frame) });
    return this;
  }

  welcome(data = {}) {
    if (this.readyState === 0) this.open();
    return this.receive({ event: "wss.welcome", data: { ...WELCOME, ...data } });
  }

  lose(code = 1006, reason = "") {
    this.readyState = 3;
    if (code === 1006) this.#fail();
    this.onclose?.({ code, reason, wasClean: code !== 1006 });
  }

  #fail() {
    if (!this.onerror) throw new Error("an error that nobody listens to");
    this.onerror({});
  }

  /** The events that were sent, pings and the resume left out. */
  get events() {
    return this.sent.filter((frame) => !frame.event.startsWith("wss."));
  }
}

const WELCOME = { session: "s1", token: "s1.secret", node: "n1", resumed: false, last: 0, protocol: 1 };

/** Let everything run that waits for nothing. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));

/** Let time pass, in seconds. */
export async function pass(seconds) {
  await settle();
  mock.timers.tick(seconds * 1000);
  await settle();
}

/** A client on fake sockets and a fake clock; `random` is what Math.random gives. */
export function start(t, { url = "ws://a/", random = 0.5, ...options } = {}) {
  FakeSocket.all.length = 0;
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  t.mock.method(Math, "random", () => random);
  const client = connect(url, { WebSocket: FakeSocket, ...options });
  const heard = [];
  for (const event of ["wss.connected", "wss.disconnected", "wss.joined", "wss.error", "said"]) {
    client.on(event, (data, about) => heard.push([event, data, about]));
  }
  t.after(() => {
    client.close();
    mock.timers.reset();
  });
  return { client, heard };
}

/** The same, with its first welcome. */
export async function started(t, options) {
  const made = start(t, options);
  await settle();
  FakeSocket.last.welcome();
  made.heard.length = 0;
  return made;
}

/** What became of a promise so far. */
export function watch(promise) {
  const found = { state: "pending" };
  promise.then(
    (value) => Object.assign(found, { state: "done", value }),
    (error) => Object.assign(found, { state: "failed", error }),
  );
  return found;
}

export const said = (offset, epoch = "e", topic = "room:a") => ({
  event: "said",
  topic,
  epoch,
  offset,
  data: { n: offset },
});

export const joined = (offset, { epoch = "e", topic = "room:a", recovered = true } = {}) => ({
  event: "wss.joined",
  data: { topic, epoch, offset, recovered },
});
