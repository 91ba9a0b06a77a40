/**
 * The browser's client of trio-wss: one session over as many connections as it takes. It resumes,
 * sends again what has no answer, and gives what the server sends once and in order.
 *
 * The types and what each part means are in trio-wss.d.ts.
 */

const COME_BACK = new Set([1001, 1005, 1006, 1011, 1012, 1013, 1014]); // they blame no client
const VANISHED = 1006; // there was no Close (RFC 6455 §7.1.5)
const WRONG = 1002; // the server breaks the protocol
const TOO_BIG = 1009; // a message of ours
const MAX_UNANSWERED = 64; // the server keeps so many answers of a session
const MAX_WAITING = 1024; // events that were never sent
const MAX_LEFT = 4; // connections given up, and not closed yet
const LONGEST_HINT = 60; // seconds that a server may have us wait
const UNAVAILABLE = [0.2, 5]; // seconds until an event is sent again: the first, and the most
const OVERDUE = [10, 60]; // seconds without an answer: if later events have theirs, and at all
const LONGEST_TIMER = 2 ** 31 - 1; // milliseconds; what is longer would be none at all

const DEFAULTS = {
  backOff: [0.5, 15],
  giveUp: Infinity,
  timeout: 10,
  pingInterval: 20,
  pingTimeout: 5,
  WebSocket: undefined,
};

export class EventError extends Error {
  name = "EventError";

  constructor(code, message = "", path = "") {
    super(message || code);
    this.code = code;
    this.path = path;
  }
}

export class ConnectionLost extends Error {
  name = "ConnectionLost";

  constructor(code, reason = "") {
    super(code ? `the connection was closed with ${code}${reason && `: ${reason}`}` : reason);
    this.code = code;
    this.reason = reason;
  }
}

export class OutcomeUnknown extends ConnectionLost {
  name = "OutcomeUnknown";
}

export function connect(url, options) {
  return new Client(url, options);
}

export class Client {
  session = "";
  node = "";
  state = "connecting";

  #url;
  #options;
  #listeners = new Map(); // event: Set of functions
  #topics = new Map(); // topic: [epoch, offset] of the last broadcast
  #waiting = []; // events that were never sent
  #unanswered = new Map(); // id: event that was sent, in order
  #id = 0; // the highest id that was used
  #token = "";
  #attempt = 0; // the last one to resume
  #socket = null;
  #left = []; // given up without a Close, which would end the session
  #turn = 0; // which try this is
  #tries = 0;
  #since = Date.now(); // when the state last became connected, or ceased to be
  #loss = new ConnectionLost(VANISHED); // of the last connection
  #timer; // one at a time: of the wait, of the welcome, or of the next sign of life
  #at = 0; // when it is up
  #awake = 0; // when the page was found to have slept: what came meanwhile is not late
  #asked = false; // for a sign of life that has not come yet
  #writes = 0; // frames with an id so far
  #answered = 0; // the last of these that was answered in order
  #dropped = 0; // the highest id that may be answered too late

  constructor(url, options = {}) {
    this.#options = checked(options, DEFAULTS);
    this.#options.WebSocket ??= globalThis.WebSocket;
    if (typeof this.#options.WebSocket !== "function") {
      throw new TypeError("there is no WebSocket here: name one in the options");
    }
    this.#url = typeof url === "function" ? url : [url].flat().map((one) => absolute(one));
    if (!this.#url.length && this.#url !== url) throw new TypeError("there is no address");
    globalThis.addEventListener?.("online", this.#wake);
    globalThis.addEventListener?.("offline", this.#wake);
    globalThis.document?.addEventListener("visibilitychange", this.#wake);
    this.#open();
  }

  get topics() {
    return new Map(this.#topics);
  }

  get unanswered() {
    return this.#unanswered.size + this.#waiting.length;
  }

  on(event, listener) {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  send(event, data, options) {
    const pending = { event, tries: 0, wanted: true };
    pending.answer = new Promise((resolve, reject) => {
      const { again, signal } = checked(options, { again: false, signal: undefined });
      checkName(event);
      pending.data = JSON.stringify(data); // may run code of the app's, so all else is behind it
      signal?.throwIfAborted();
      if (this.#waiting.length >= MAX_WAITING) {
        throw new EventError("rate_limited", `${MAX_WAITING} events wait already`);
      }
      const forget = () => this.#forget(pending, signal.reason);
      const settled = (settle) => (outcome) => {
        signal?.removeEventListener("abort", forget);
        settle(outcome);
      };
      pending.again = again;
      pending.resolve = settled(resolve);
      pending.reject = settled(reject);
      signal?.addEventListener("abort", forget);
      this.#waiting.push(pending);
    });
    if (this.state === "closed") this.#loseWaiting();
    else this.#pump();
    return pending.answer;
  }

  reconnect(wait = 0) {
    if (this.state === "connected") this.#over(VANISHED, "given up", wait);
    else if (this.state === "waiting") this.#open();
  }

  close(code = 1000, reason = "") {
    if (this.state === "closed") return;
    for (const socket of [this.#socket, ...this.#left]) socket?.close(code, reason);
    this.#leave();
    this.#end(code, reason);
  }

  // --- a connection

  async #open() {
    const turn = ++this.#turn;
    const isPresent = () => turn === this.#turn && this.state === "connecting";
    this.state = "connecting";
    this.#after(this.#options.timeout, () => this.#over(VANISHED, "no welcome in time"));
    const urls = this.#url;
    const fixed = Array.isArray(urls);
    const index = (turn - 1) % urls.length;
    let url;
    try {
      url = absolute(await (fixed ? urls[index] : urls()), this.#token);
      if (isPresent()) this.#attach(new this.#options.WebSocket(url));
    } catch (error) {
      if (!isPresent()) return;
      if (fixed) urls.splice(index, 1); // the browser refuses it for good
      const mayDo = fixed ? urls.length : !url || !(error instanceof TypeError);
      if (mayDo) this.#over(VANISHED, String(error));
      else this.#end(VANISHED, String(error));
    }
  }

  #attach(socket) {
    this.#socket = socket;
    socket.onopen = () => {
      if (!this.#token) return;
      this.#attempt = Math.max(this.#attempt + 1, Date.now());
      const topics = Object.fromEntries(this.#topics);
      const data = { token: this.#token, topics, attempt: this.#attempt };
      socket.send(JSON.stringify({ event: "wss.resume", data }));
    };
    socket.onmessage = ({ data }) => {
      try {
        this.#take(JSON.parse(data));
      } catch (error) {
        this.#broken(`the node breaks the protocol: ${error.message}`);
      }
    };
    socket.onclose = ({ code, reason }) => this.#over(code, reason);
    socket.onerror = () => {}; // a close follows; Node's `ws` throws an error that nobody hears
  }

  /** Hear no more of the socket, errors apart; returned if it may still be open. */
  #leave() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return null;
    socket.onopen = socket.onmessage = socket.onclose = null;
    if (socket.readyState > 0) return socket.readyState < 2 ? socket : null;
    socket.close();
    return null;
  }

  #closeLeft() {
    for (const socket of this.#left.splice(0)) socket.close();
  }

  /** The connection, or the try to get one, is over. */
  #over(code, text, wait) {
    const lived = this.state === "connected";
    const socket = this.#leave();
    // The first may have the session still.
    if (socket && this.#left.push(socket) > MAX_LEFT) this.#left.splice(1, 1)[0].close();
    const [first, most] = this.#options.backOff;
    const bound = () => Math.min(most, first * 2 ** this.#tries);
    if (lived) {
      if (Date.now() - this.#since >= bound() * 1000) this.#tries = 0;
      this.#since = Date.now();
    }
    const [reason, hint] = read(text);
    this.#loss = new ConnectionLost(code, reason);
    const tooBig = lived && code === TOO_BIG;
    if (tooBig) this.#rejectLargest();
    const comesBack = tooBig || COME_BACK.has(code);
    if (!comesBack || Date.now() - this.#since >= this.#options.giveUp * 1000) {
      this.#end(code, reason);
      return;
    }
    wait ??= hint ?? Math.random() * bound();
    this.#tries += 1;
    this.state = "waiting";
    this.#after(wait, () => this.#open());
    this.#emit("wss.disconnected", { code, reason, wait });
  }

  /** A message was too big: at the least this one was, so it goes out no more. */
  #rejectLargest() {
    let [id, most] = [0, 0];
    for (const [one, pending] of this.#unanswered) {
      const size = new TextEncoder().encode(pending.event + pending.data).length;
      if (size > most) [id, most] = [one, size];
    }
    this.#unanswered.get(id)?.reject(new EventError("invalid", "the node takes nothing so large"));
    this.#unanswered.delete(id);
  }

  /** The node breaks the protocol. */
  #broken(reason) {
    this.#leave()?.close();
    this.#end(WRONG, reason);
  }

  /** There will be no other connection. */
  #end(code, reason) {
    this.state = "closed";
    this.#loss = new ConnectionLost(code, reason);
    clearTimeout(this.#timer);
    globalThis.removeEventListener?.("online", this.#wake);
    globalThis.removeEventListener?.("offline", this.#wake);
    globalThis.document?.removeEventListener("visibilitychange", this.#wake);
    this.#closeLeft();
    const sent = [...this.#unanswered.values()];
    this.#unanswered.clear();
    for (const pending of sent) lose(pending, new OutcomeUnknown(code, reason));
    this.#loseWaiting();
    this.#emit("wss.disconnected", { code, reason, wait: null });
  }

  #loseWaiting() {
    for (const pending of this.#waiting.splice(0)) lose(pending, this.#loss);
  }

  // --- signs of life

  #after(seconds, act) {
    clearTimeout(this.#timer);
    const wait = Math.min(seconds * 1000, LONGEST_TIMER);
    this.#at = Date.now() + wait;
    this.#timer = setTimeout(act, wait);
  }

  /** Something was heard: ask again later, soon if an answer is due. */
  #listen() {
    const { pingInterval, pingTimeout } = this.#options;
    if (Date.now() > this.#at) this.#awake = Date.now();
    this.#asked = false;
    this.#after(
      this.#unanswered.size ? Math.min(pingInterval, pingTimeout) : pingInterval,
      () => this.#ping(),
    );
  }

  /** An answer is due from now on. Nothing was heard, so this puts nothing off. */
  #askSooner() {
    const { pingTimeout } = this.#options;
    if (this.#asked || this.#at <= Date.now() + pingTimeout * 1000) return;
    this.#after(pingTimeout, () => this.#ping());
  }

  #ping() {
    if (this.#asked) return;
    this.#asked = true;
    this.#socket.send('{"event":"wss.ping"}');
    this.#after(this.#options.pingTimeout, () => this.#over(VANISHED, "the node is silent"));
  }

  #wake = ({ type }) => {
    if (type === "visibilitychange" && document.hidden) return;
    if (this.state === "connected") this.#ping();
    else if (this.state === "waiting" && type !== "offline") this.#open();
  };

  // --- what comes

  #take({ event, re, data, topic, epoch, offset }) {
    text(event);
    if (this.state !== "connected") {
      if (event === "wss.welcome") {
        this.#welcome(data);
        return;
      }
      if (event !== "wss.error" || re !== undefined) {
        throw new TypeError(`${event} before the welcome`);
      }
      // The Close behind it has only a code.
      const { message: reason } = data;
      const { onclose } = this.#socket;
      this.#socket.onclose = ({ code }) => onclose({ code, reason });
    }
    if (re !== undefined) this.#answer(re, event, data);
    else if (event !== "wss.pong" && this.#isNew(event, data, topic, epoch, offset)) {
      this.#emit(event, data, { event, topic, epoch, offset });
    }
    if (this.state !== "connected") return;
    this.#listen();
    this.#dropOverdue();
  }

  #welcome({ session, token, node, resumed, last, protocol }) {
    if (protocol !== 1) {
      this.#broken(`protocol ${protocol}, but this client speaks 1`);
      return;
    }
    this.#closeLeft(); // the session is here now, and their Close ends nothing
    Object.assign(this, { session, node, state: "connected" });
    this.#since = Date.now();
    this.#dropped = 0;
    // Until this the node drops what might have been meant for the old session.
    if (this.#token && !resumed) this.#socket.send('{"event":"wss.begin"}');
    this.#token = token;
    for (const [id, { wanted }] of this.#unanswered) if (!wanted) this.#unanswered.delete(id);
    const sent = [...this.#unanswered.values()];
    if (resumed) {
      this.#id = Math.max(this.#id, last);
    } else {
      this.#id = last;
      this.#topics.clear();
      this.#unanswered.clear();
      this.#waiting.unshift(...sent.filter((pending) => pending.again));
      for (const pending of sent) {
        if (!pending.again) lose(pending, new OutcomeUnknown(this.#loss.code, this.#loss.reason));
      }
    }
    for (const [id, pending] of this.#unanswered) this.#write(id, pending);
    this.#pump();
    this.#listen();
    this.#emit("wss.connected", { session, node, resumed });
  }

  /** Follow the topics. A broadcast that came before is not new. */
  #isNew(event, data, topic, epoch, offset) {
    if (event === "wss.joined") this.#topics.set(text(data.topic), [text(data.epoch), data.offset]);
    else if (event === "wss.left") this.#topics.delete(text(data.topic));
    else if (offset !== undefined) {
      const last = this.#topics.get(topic);
      if (last && offset !== last[1] + 1) {
        if (epoch === last[0] && offset <= last[1]) return false;
        throw new TypeError(`${topic} went from ${last[1]} to ${offset}: something is missing`);
      }
      this.#topics.set(topic, [epoch, offset]);
    }
    return true;
  }

  #answer(id, event, data) {
    const pending = this.#unanswered.get(id);
    if (!pending) {
      if (id <= this.#dropped) return;
      throw new TypeError(`nothing waits for the answer to ${id}`);
    }
    const code = event === "wss.error" ? text(data.code) : "";
    // All others come in the order of their events.
    if (code !== "unavailable" && code !== "rate_limited") this.#answered = pending.position;
    if (code === "unavailable" && pending.wanted) {
      pending.since = Date.now();
      const socket = this.#socket;
      const bound = Math.min(UNAVAILABLE[1], UNAVAILABLE[0] * 2 ** pending.tries++);
      setTimeout(() => {
        if (socket === this.#socket && pending === this.#unanswered.get(id)) {
          this.#write(id, pending);
        }
      }, (0.5 + Math.random() / 2) * bound * 1000);
      return;
    }
    this.#unanswered.delete(id);
    if (code) pending.reject(new EventError(code, data.message, data.path));
    else pending.resolve({ event, data });
    this.#pump();
  }

  /** Settle what gets no answer: it would hold up all that follow. */
  #dropOverdue() {
    for (const [id, pending] of this.#unanswered) {
      const patience = OVERDUE[pending.position < this.#answered ? 0 : 1];
      if (Date.now() - Math.max(pending.since, this.#awake) < patience * 1000) break;
      this.#unanswered.delete(id);
      this.#dropped = id;
      lose(pending, new OutcomeUnknown(0, "the node gives this event no answer"));
    }
    this.#pump();
  }

  #emit(event, data, about = { event }) {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) {
      try {
        listener(data, about);
      } catch (error) {
        (globalThis.reportError ?? console.error)(error);
      }
    }
  }

  // --- what goes

  /** Send what waits, while the server can keep its answers. */
  #pump() {
    while (this.state === "connected" && this.#waiting.length) {
      const [oldest = this.#id + 1] = this.#unanswered.keys();
      if (this.#id + 1 - oldest >= MAX_UNANSWERED) return;
      const pending = this.#waiting.shift();
      this.#unanswered.set(++this.#id, pending);
      this.#write(this.#id, pending);
      if (this.#unanswered.size === 1) this.#askSooner();
    }
  }

  #write(id, pending) {
    const { event, data } = pending;
    pending.position = ++this.#writes;
    pending.since = Date.now();
    const rest = data === undefined ? "" : `,"data":${data}`;
    this.#socket.send(`{"event":${JSON.stringify(event)},"id":${id}${rest}}`);
  }

  #forget(pending, reason) {
    const at = this.#waiting.indexOf(pending);
    if (at >= 0) this.#waiting.splice(at, 1);
    pending.wanted = pending.again = false; // if it is out, its answer comes all the same
    pending.reject(reason);
  }
}

/** Reject what nobody need await: that the connection is gone is told by itself. */
function lose(pending, loss) {
  pending.answer.catch(() => {});
  pending.reject(loss);
}

/** Whether as many are given as there are defaults, where those are numbers. */
function areSeconds(given, defaults) {
  if (typeof defaults[0] !== "number") return true;
  return given.length === defaults.length && given.every((one) => one >= 0);
}

/** Options over their defaults. */
function checked(options, defaults) {
  const all = { ...defaults };
  for (const [name, value] of Object.entries(options ?? {})) {
    if (!Object.hasOwn(defaults, name)) throw new TypeError(`there is no option ${name}`);
    if (value === undefined) continue;
    if (!areSeconds([value].flat(), [defaults[name]].flat())) {
      throw new TypeError(`${name} is in seconds, as ${defaults[name]}`);
    }
    all[name] = value;
  }
  return all;
}

function text(found) {
  if (typeof found !== "string") throw new TypeError(`${found} is no text`);
  return found;
}

function checkName(event) {
  if (typeof event !== "string" || /\p{Surrogate}/u.test(event)) {
    throw new TypeError("an event's name is text");
  }
  if (event.startsWith("wss.")) throw new TypeError(`${event}: such names are the server's own`);
}

/** A WebSocket's URL, with no fragment; with a token, of a client that resumes. */
function absolute(url, token) {
  let found;
  try {
    if (typeof url === "string" || url instanceof URL) {
      found = new URL(url, globalThis.location?.href);
      found.protocol = found.protocol.replace("http", "ws");
    }
  } catch {}
  if (!/^wss?:$/.test(found?.protocol)) {
    throw new TypeError(`no address of a node: ${String(url).split("?")[0]}`); // a query is secret
  }
  if (found.searchParams.has("resume")) throw new TypeError("resume in a query is the client's own");
  found.hash = "";
  if (token) found.searchParams.set("resume", "");
  return found.href;
}

/** What a Close's reason says: the words for people, and how many seconds to wait, if it does. */
function read(text = "") {
  try {
    const { why = text, retry } = JSON.parse(text);
    return [why, Number.isFinite(retry) && retry >= 0 ? Math.min(retry, LONGEST_HINT) : undefined];
  } catch {
    return [text];
  }
}
