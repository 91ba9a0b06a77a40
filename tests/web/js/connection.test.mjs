// When the client connects, where to, and when it comes back.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { EventError, OutcomeUnknown, connect } from "../../../trio_wss/web/trio-wss.js";
import { FakeSocket, joined, pass, said, settle, start, started, watch } from "./fake.mjs";

test("the welcome tells session and node", async (t) => {
  const { client, heard } = start(t);
  assert.equal(client.state, "connecting");
  await settle();
  FakeSocket.last.welcome({ session: "me", node: "here" });
  assert.deepEqual([client.state, client.session, client.node], ["connected", "me", "here"]);
  assert.deepEqual(heard[0].slice(0, 2), [
    "wss.connected",
    { session: "me", node: "here", resumed: false },
  ]);
});

test("an address may be http, and relative to the page", async (t) => {
  globalThis.location = { href: "https://example.org/demo/page?x=1#top" };
  t.after(() => delete globalThis.location);
  start(t, { url: "/?room=tea#part" });
  await settle();
  assert.equal(FakeSocket.last.url.href, "wss://example.org/?room=tea");
});

for (const url of ["nowhere", "ftp://a/", "", undefined, null, 5, {}, [], ["ws://a/", "nowhere"]]) {
  test(`an address that is none is said at once: ${JSON.stringify(url)}`, () => {
    const { heard } = browserless();
    assert.throws(() => connect(url, { WebSocket: FakeSocket }), { name: "TypeError", message: /address/ });
    assert.deepEqual(heard, [], "it left nothing behind");
  });
}

test("no address that is told shows a query, which may be secret", async (t) => {
  const { heard } = start(t, { url: () => "https//a/?token=sesame" });
  await settle();
  assert.match(heard[0][1].reason, /no address of a node: https\/\/a\//);
  assert.doesNotMatch(heard[0][1].reason, /sesame/);
});

test("an address that takes the client's own word is said at once", () => {
  assert.throws(() => connect("ws://a/?resume", { WebSocket: FakeSocket }), /resume/);
});

/** What a client listens to, where there is no page. */
function browserless() {
  const heard = [];
  globalThis.addEventListener = (type) => heard.push(type);
  after(() => delete globalThis.addEventListener);
  return { heard };
}

for (const rubbish of [undefined, null, 5, "nowhere", "mailto:me@example.org", { href: "ws://a/" }]) {
  test(`a function that gives ${JSON.stringify(rubbish)} for an address may do better later`, async (t) => {
    const given = [rubbish, "ws://a/"];
    const { client, heard } = start(t, { url: () => given.shift() });
    await settle();
    assert.equal(client.state, "waiting");
    assert.match(heard[0][1].reason, /no address/);
    await pass(0.25);
    assert.equal(FakeSocket.last.url.host, "a");
  });
}

// --- options

test("an option that there is not is named at once", () => {
  const wrong = { pingIntervall: 1 };
  assert.throws(() => connect("ws://a/", { WebSocket: FakeSocket, ...wrong }), {
    name: "TypeError",
    message: /pingIntervall/,
  });
});

for (const [name, value] of [
  ["timeout", "soon"],
  ["giveUp", NaN],
  ["pingInterval", -1],
  ["pingTimeout", [1, 2]],
  ["backOff", 5],
  ["backOff", [1]],
  ["backOff", [1, "soon"]],
]) {
  test(`an option that is no time is named at once: ${name} ${value}`, () => {
    assert.throws(() => connect("ws://a/", { WebSocket: FakeSocket, [name]: value }), {
      name: "TypeError",
      message: new RegExp(name),
    });
  });
}

test("an option that is undefined is left out, and none may be for ever", async (t) => {
  const { client } = await started(t, { pingInterval: Infinity, pingTimeout: undefined });
  await pass(1_000_000);
  assert.deepEqual(FakeSocket.last.sent, []);
  client.send("say").catch(() => {});
  await pass(5);
  assert.equal(FakeSocket.last.sent.at(-1).event, "wss.ping");
});

test("where there is no WebSocket, that is said at once", () => {
  const there = globalThis.WebSocket;
  delete globalThis.WebSocket; // Node 22 has one
  for (const options of [undefined, {}, { WebSocket: "ws" }, { WebSocket: {} }]) {
    assert.throws(() => connect("ws://a/", options), { name: "TypeError", message: /WebSocket/ });
  }
  if (there) globalThis.WebSocket = there;
});

test("an address may be made anew for each try, and may fail", async (t) => {
  let tries = 0;
  const url = async () => {
    tries += 1;
    if (tries === 2) throw new Error("no token");
    return `ws://a/?token=${tries}`;
  };
  const { heard } = start(t, { url });
  await settle();
  assert.equal(FakeSocket.last.url.search, "?token=1");
  FakeSocket.last.lose();
  await pass(0.25);
  assert.match(heard.at(-1)[1].reason, /no token/);
  await pass(0.5);
  assert.equal(FakeSocket.last.url.search, "?token=3");
});

test("a lost connection is resumed, with the token and a cursor for each topic", async (t) => {
  const { client, heard } = await started(t);
  FakeSocket.last.receive(joined(0, { epoch: "", topic: "all" }), joined(41), said(42));
  FakeSocket.last.lose();
  assert.equal(client.state, "waiting");
  assert.deepEqual(heard.at(-1)[1], { code: 1006, reason: "", wait: 0.25 });
  await pass(0.25);
  assert.equal(client.state, "connecting");
  const socket = FakeSocket.last.open();
  assert.ok(socket.url.searchParams.has("resume"));
  const topics = { all: ["", 0], "room:a": ["e", 42] };
  const { attempt } = socket.sent[0].data;
  assert.deepEqual(socket.sent, [
    { event: "wss.resume", data: { token: "s1.secret", topics, attempt } },
  ]);
  socket.welcome({ node: "n2", resumed: true, last: 5 });
  assert.deepEqual(heard.at(-1)[1], { session: "s1", node: "n2", resumed: true });
});

test("each resume is another attempt, however soon, and whatever the clock says", async (t) => {
  const { client } = await started(t);
  const attempts = [];
  for (const now of [5000, 5000, 4000, 9000]) {
    FakeSocket.last.lose();
    t.mock.method(Date, "now", () => now);
    client.reconnect();
    await pass(0);
    attempts.push(FakeSocket.last.open().sent[0].data.attempt);
  }
  assert.deepEqual(attempts, [5000, 5001, 5002, 9000]);
});

test("the query stays when a client resumes", async (t) => {
  await started(t, { url: "ws://a/?room=tea" });
  FakeSocket.last.lose();
  await pass(0.25);
  assert.equal(FakeSocket.last.url.search, "?room=tea&resume=");
});

test("the wait doubles from try to try, up to a bound, and is random", async (t) => {
  const { heard } = await started(t, { backOff: [1, 5], random: 0.8 });
  for (const wait of [0.8, 1.6, 3.2, 4, 4]) {
    FakeSocket.last.lose();
    assert.ok(Math.abs(heard.at(-1)[1].wait - wait) < 1e-9, `${heard.at(-1)[1].wait}, not ${wait}`);
    await pass(wait);
  }
});

test("the wait is short again once a connection has lasted", async (t) => {
  const { heard } = await started(t, { backOff: [1, 5], random: 0.5 });
  FakeSocket.last.lose();
  await pass(0.5);
  FakeSocket.last.welcome({ resumed: true });
  await pass(1); // less than the wait would have been
  FakeSocket.last.lose();
  assert.equal(heard.at(-1)[1].wait, 1);
  await pass(1);
  FakeSocket.last.welcome({ resumed: true });
  await pass(4.5);
  FakeSocket.last.lose();
  assert.equal(heard.at(-1)[1].wait, 0.5);
});

test("it goes on to the next address, in turn", async (t) => {
  await started(t, { url: ["ws://a/", "ws://b/"], random: 0 });
  for (const host of ["b", "a", "b"]) {
    FakeSocket.last.lose();
    await pass(0);
    assert.equal(FakeSocket.last.url.host, host);
  }
});

test("a node that sends its clients away says how long to wait", async (t) => {
  const { heard } = await started(t);
  FakeSocket.last.lose(1012, '{"retry":3.5,"why":"the node is stopping"}');
  assert.deepEqual(heard.at(-1)[1], { code: 1012, reason: "the node is stopping", wait: 3.5 });
  await pass(3.4);
  assert.equal(FakeSocket.all.length, 1);
  await pass(0.1);
  assert.equal(FakeSocket.all.length, 2);
});

test("a hint is cut, and what is none is words", async (t) => {
  const { heard } = await started(t);
  const cases = [
    ['{"retry":1e9}', '{"retry":1e9}', 60],
    ['{"retry":-1,"why":"x"}', "x", 0.25],
    ["7", "7", 0.5],
    ["null", "null", 1],
    ["so long", "so long", 2],
  ];
  for (const [text, reason, wait] of cases) {
    FakeSocket.last.lose(1012, text);
    assert.equal(heard.at(-1)[1].reason, reason);
    assert.ok(heard.at(-1)[1].wait <= Math.max(wait, 7.5));
    if (wait === 60) assert.equal(heard.at(-1)[1].wait, 60);
    await pass(60);
  }
});

for (const code of [1001, 1005, 1006, 1011, 1012, 1013, 1014]) {
  test(`after ${code} it comes back`, async (t) => {
    const { client } = await started(t);
    FakeSocket.last.lose(code);
    assert.equal(client.state, "waiting");
  });
}

test("a client that is refused is told why", async (t) => {
  const { client, heard } = start(t);
  await settle();
  FakeSocket.last.open().receive({ event: "wss.error", data: { code: "full", message: "No room." } });
  FakeSocket.last.lose(4403, "refused");
  assert.equal(client.state, "closed");
  assert.deepEqual(heard[0].slice(0, 2), ["wss.error", { code: "full", message: "No room." }]);
  assert.deepEqual(heard[1][1], { code: 4403, reason: "No room.", wait: null });
});

test("a protocol of the future is the end", async (t) => {
  const { client, heard } = start(t);
  await settle();
  FakeSocket.last.welcome({ protocol: 2 });
  assert.equal(client.state, "closed");
  assert.match(heard[0][1].reason, /protocol 2/);
  assert.ok(FakeSocket.last.closed);
});

test("a node that does not welcome in time is left for another", async (t) => {
  const { heard } = start(t, { url: ["ws://a/", "ws://b/"], timeout: 10, random: 0 });
  await pass(10);
  assert.equal(heard[0][1].reason, "no welcome in time");
  assert.ok(FakeSocket.all[0].closed, "it was connecting, so nothing can end by it");
  await pass(0);
  assert.equal(FakeSocket.last.url.host, "b");
});

test("closing a connection that is not open yet fails nothing", async (t) => {
  const { client } = start(t);
  await settle();
  client.close();
  await settle();
  assert.deepEqual([client.state, FakeSocket.last.closed], ["closed", [1000, ""]]);
});

test("an address that is never made does not hold it", async (t) => {
  let tries = 0;
  start(t, { url: () => (tries++ ? "ws://b/" : new Promise(() => {})), random: 0 });
  await pass(10);
  await pass(0);
  assert.equal(FakeSocket.last.url.host, "b");
});

test("it gives up after as long as it was told to", async (t) => {
  const { client, heard } = await started(t, { giveUp: 20, random: 1, backOff: [8, 8] });
  const answer = watch(client.send("say", 1));
  FakeSocket.last.lose();
  for (const wait of [8, 8, 8]) {
    assert.equal(client.state, "waiting");
    await pass(wait);
    FakeSocket.last.lose();
  }
  assert.equal(client.state, "closed");
  assert.equal(heard.at(-1)[1].wait, null);
  await settle();
  assert.ok(answer.error instanceof OutcomeUnknown);
});

// --- a WebSocket that cannot be made

function refusing(error) {
  return class extends FakeSocket {
    constructor(url) {
      if (url.includes("refused")) throw error;
      super(url);
    }
  };
}

const INSECURE = new DOMException("not from this page", "SecurityError");

test("an address that the browser refuses is not tried again", async (t) => {
  const { client, heard } = start(t, { url: "ws://refused/", WebSocket: refusing(INSECURE) });
  const answer = watch(client.send("say"));
  await settle();
  assert.equal(client.state, "closed");
  assert.deepEqual(heard.map(([event, { wait }]) => [event, wait]), [["wss.disconnected", null]]);
  assert.match(heard[0][1].reason, /not from this page/);
  await settle();
  assert.match(answer.error.message, /not from this page/);
});

test("the other addresses are", async (t) => {
  const url = ["ws://refused/", "ws://a/", "ws://b/"];
  const { client, heard } = start(t, { url, WebSocket: refusing(INSECURE), random: 0 });
  await settle();
  assert.match(heard[0][1].reason, /not from this page/);
  const hosts = [];
  for (let i = 0; i < 4; i++) {
    await pass(0);
    hosts.push(FakeSocket.last.url.host);
    FakeSocket.last.lose();
  }
  assert.deepEqual(hosts.sort(), ["a", "a", "b", "b"]);
  assert.equal(client.state, "waiting");
});

test("a function may give one that the browser takes", async (t) => {
  const given = ["ws://refused/", "ws://a/"];
  const { heard } = start(t, { url: () => given.shift(), WebSocket: refusing(INSECURE) });
  await settle();
  assert.match(heard[0][1].reason, /not from this page/);
  await pass(0.25);
  assert.equal(FakeSocket.last.url.host, "a");
});

test("what makes no WebSocket is the end, whoever gives the address", async (t) => {
  for (const url of ["ws://a/", () => "ws://a/"]) {
    const client = connect(url, { WebSocket: () => {} });
    const reasons = [];
    client.on("wss.disconnected", ({ reason, wait }) => reasons.push([reason, wait]));
    await settle();
    assert.equal(client.state, "closed");
    assert.match(reasons[0][0], /not a constructor/);
  }
  t.diagnostic("and no timer is left");
});

// --- a message that a node does not take

test("after 1009 it comes back without the largest event, and with the others", async (t) => {
  const { client, heard } = await started(t);
  const [small, large, other] = ["a", "é".repeat(300), "x".repeat(500)].map((text) =>
    watch(client.send("say", text)),
  );
  FakeSocket.last.lose(1009, "too big");
  assert.equal(heard.at(-1)[1].code, 1009);
  assert.equal(client.state, "waiting");
  await settle();
  assert.deepEqual([small.state, large.state, other.state], ["pending", "failed", "pending"]);
  assert.ok(large.error instanceof EventError);
  assert.equal(large.error.code, "invalid");
  await pass(0.25);
  FakeSocket.last.welcome({ resumed: true, last: 1 });
  assert.deepEqual(FakeSocket.last.events.map(({ id }) => id), [1, 3]);
  FakeSocket.last.receive({ event: "ok", re: 1 }, { event: "ok", re: 3 });
  assert.equal(client.unanswered, 0);
});

test("each 1009 takes one event, until none is left", async (t) => {
  const { client } = await started(t, { random: 0 });
  const answers = ["a", "b"].map((text) => watch(client.send("say", text)));
  for (const left of [1, 0, 0]) {
    FakeSocket.last.lose(1009);
    assert.equal(client.unanswered, left);
    await pass(0);
    FakeSocket.last.welcome({ resumed: true });
  }
  assert.deepEqual(answers.map(({ error }) => error.code), ["invalid", "invalid"]);
});

test("1009 before a welcome is the end: the client's first word was too big", async (t) => {
  const { client } = await started(t, { random: 0 });
  const answer = watch(client.send("say", "a"));
  FakeSocket.last.lose();
  await pass(0);
  FakeSocket.last.open().lose(1009);
  assert.equal(client.state, "closed");
  await settle();
  assert.ok(answer.error instanceof OutcomeUnknown);
});

// --- nothing that was meant for one session is applied in another

test("nothing is sent between the resume and the welcome", async (t) => {
  const { tell } = browser(t);
  const { client } = await started(t, { random: 0 });
  client.send("say", "sent").catch(() => {});
  const unavailable = { event: "wss.error", re: 1, data: { code: "unavailable" } };
  FakeSocket.last.receive(unavailable).lose();
  client.send("say", "unsent").catch(() => {});
  await pass(0);
  const socket = FakeSocket.last.open();
  client.send("say", "new").catch(() => {});
  for (const type of ["online", "offline", "visibilitychange"]) tell(type);
  client.reconnect();
  await pass(9);
  assert.deepEqual(socket.sent.map(({ event }) => event), ["wss.resume"]);
  socket.welcome({ resumed: true, last: 1 });
  assert.deepEqual(socket.sent.slice(1).map(({ id, data }) => [id, data]), [
    [1, "sent"], [2, "unsent"], [3, "new"],
  ]);
});

test("a resume that comes to nothing is answered with wss.begin, before all else", async (t) => {
  const { client } = await started(t, { random: 0 });
  client.on("wss.connected", () => client.send("c").catch(() => {}));
  client.send("a", 1, { again: true }).catch(() => {});
  FakeSocket.last.lose();
  client.send("b").catch(() => {});
  await pass(0);
  FakeSocket.last.welcome({ session: "s2", token: "s2.x" });
  assert.deepEqual(FakeSocket.last.sent.map(({ event }) => event), [
    "wss.resume", "wss.begin", "a", "b", "c",
  ]);
});

// --- what is no frame

for (const text of ["{", "null", '{"event":"wss.welcome"}', '{"event":"wss.error"}', '{"event":"x"}']) {
  test(`before the welcome ${text} is the end`, async (t) => {
    const { client, heard } = start(t);
    await settle();
    FakeSocket.last.open().onmessage({ data: text });
    assert.equal(client.state, "closed");
    assert.equal(heard.at(-1)[1].code, 1002);
    assert.ok(FakeSocket.last.closed);
  });
}

// --- a connection is given up without a Close, which would end the session

test("a silent node is asked for a sign of life, and left if it gives none", async (t) => {
  const { client, heard } = await started(t, { pingInterval: 20, pingTimeout: 5 });
  const silent = FakeSocket.last;
  await pass(19.9);
  assert.deepEqual(silent.sent, []);
  await pass(0.1);
  assert.deepEqual(silent.sent, [{ event: "wss.ping" }]);
  const pongs = [];
  client.on("wss.pong", (data) => pongs.push(data));
  silent.receive({ event: "wss.pong" });
  assert.deepEqual(pongs, [], "it is nobody's event");
  await pass(20);
  assert.equal(silent.sent.length, 2);
  await pass(5);
  assert.equal(client.state, "waiting");
  assert.deepEqual(heard.at(-1)[1].reason, "the node is silent");
  assert.equal(silent.closed, null, "its Close would end the session");
  await pass(0.5);
  FakeSocket.last.welcome({ resumed: true });
  assert.ok(silent.closed, "now the session is elsewhere");
  silent.receive(said(1)); // whatever it says now is not heard
  silent.lose(4409);
  assert.equal(client.state, "connected");
  assert.equal(heard.filter(([event]) => event === "said").length, 0);
});

for (const period of [0.25, 0.75, 1.5, 2.5]) {
  test(`silence counts from what was heard last, though an event goes out every ${period} s`, async (t) => {
    const { client, heard } = await started(t, { pingInterval: 1, pingTimeout: 2 });
    client.send("say").catch(() => {});
    FakeSocket.last.receive({ event: "ok", re: 1 });
    const step = 0.05;
    for (let n = 1; n < 3 / step; n++) {
      await pass(step);
      if (n % (period / step) === 0) client.send("say").catch(() => {});
    }
    assert.equal(client.state, "connected");
    await pass(step);
    assert.equal(client.state, "waiting");
    assert.equal(heard.at(-1)[1].reason, "the node is silent");
  });
}

test("nor by what the browser tells while the node is asked", async (t) => {
  const { tell } = browser(t);
  const { client } = await started(t, { pingInterval: 1, pingTimeout: 2 });
  await pass(1);
  for (let i = 0; i < 3; i++) {
    for (const type of ["online", "visibilitychange"]) tell(type);
    await pass(0.5);
  }
  assert.equal(client.state, "connected");
  await pass(0.5);
  assert.equal(client.state, "waiting");
});

test("connections given up are bounded", async (t) => {
  await started(t, { random: 0, timeout: 1 });
  await pass(20);
  await pass(5); // silence, and then no welcome
  for (let i = 0; i < 7; i++) {
    await pass(0);
    FakeSocket.last.open();
    await pass(1);
  }
  assert.equal(FakeSocket.all.length, 9);
  const open = FakeSocket.all.filter((socket) => !socket.closed);
  const [owner, ...tries] = FakeSocket.all; // as far as is known, the session is still there
  assert.deepEqual(open, [owner, ...tries.slice(-4)], "three more, and the present one");
});

test("a connection can be dropped by hand, for a while", async (t) => {
  const { client, heard } = await started(t);
  client.reconnect(3);
  assert.deepEqual(heard.at(-1)[1], { code: 1006, reason: "given up", wait: 3 });
  assert.equal(FakeSocket.last.closed, null);
  client.reconnect(); // now, then
  await settle();
  assert.equal(FakeSocket.all.length, 2);
  client.reconnect(); // it is under way
  await settle();
  assert.equal(FakeSocket.all.length, 2);
});

// --- what the browser tells

function browser(t) {
  const listening = []; // to what
  class Source extends EventTarget {
    addEventListener = (type, listener) => {
      listening.push(type);
      super.addEventListener(type, listener);
    };

    removeEventListener = (type, listener) => {
      listening.splice(listening.indexOf(type), 1);
      super.removeEventListener(type, listener);
    };
  }
  const events = new Source();
  const page = Object.assign(new Source(), { hidden: false });
  Object.assign(globalThis, {
    document: page,
    addEventListener: events.addEventListener,
    removeEventListener: events.removeEventListener,
  });
  t.after(() => {
    delete globalThis.document;
    delete globalThis.addEventListener;
    delete globalThis.removeEventListener;
  });
  return {
    page,
    listening,
    tell: (type) => (type === "visibilitychange" ? page : events).dispatchEvent(new Event(type)),
  };
}

for (const type of ["online", "visibilitychange"]) {
  test(`${type}: it comes back at once`, async (t) => {
    const { tell } = browser(t);
    const { client } = await started(t, { backOff: [1000, 1000] });
    FakeSocket.last.lose();
    tell(type);
    await settle();
    assert.equal(client.state, "connecting");
    assert.equal(FakeSocket.all.length, 2);
    tell(type); // one try at a time
    await settle();
    assert.equal(FakeSocket.all.length, 2);
  });
}

for (const type of ["online", "offline", "visibilitychange"]) {
  test(`${type}: a connection is asked for a sign of life`, async (t) => {
    const { tell } = browser(t);
    const { client } = await started(t);
    tell(type);
    assert.deepEqual(FakeSocket.last.sent, [{ event: "wss.ping" }]);
    await pass(5);
    assert.equal(client.state, "waiting");
    tell("offline"); // no reason to hurry
    await settle();
    assert.equal(FakeSocket.all.length, 1);
  });
}

test("a page that is hidden does not hurry", async (t) => {
  const { page, tell } = browser(t);
  await started(t);
  page.hidden = true;
  tell("visibilitychange");
  assert.deepEqual(FakeSocket.last.sent, []);
});

test("a closed client listens to nothing any more", async (t) => {
  const { tell, listening } = browser(t);
  const { client } = await started(t);
  assert.equal(listening.length, 3);
  client.close();
  assert.deepEqual(listening, []);
  for (const type of ["online", "offline", "visibilitychange"]) tell(type);
  await pass(1000);
  assert.equal(FakeSocket.all.length, 1);
});

// --- goodbye

test("close says goodbye", async (t) => {
  const { client, heard } = await started(t);
  client.close(4001, "bye");
  assert.deepEqual(FakeSocket.last.closed, [4001, "bye"]);
  assert.deepEqual(heard.at(-1)[1], { code: 4001, reason: "bye", wait: null });
  client.close();
  assert.equal(heard.length, 1);
});

test("close ends the session of a connection that was given up, too", async (t) => {
  const { client } = await started(t);
  client.reconnect(3);
  client.close();
  assert.deepEqual(FakeSocket.last.closed, [1000, ""]);
  await pass(10);
  assert.equal(FakeSocket.all.length, 1);
});

test("a close code that a browser refuses changes nothing", async (t) => {
  const { client } = await started(t);
  assert.throws(() => client.close(1012), RangeError);
  assert.equal(client.state, "connected");
});

test("closing while it connects leaves nothing behind", async (t) => {
  const { client } = start(t);
  client.close();
  await pass(100);
  assert.equal(FakeSocket.all.length, 0);
});

test("a listener that fails is reported, and the others are called", async (t) => {
  const { client, heard } = await started(t);
  const report = t.mock.method(console, "error", () => {});
  const order = [];
  client.on("x", () => {
    order.push(1);
    throw new Error("mine");
  });
  const off = client.on("x", () => order.push(2));
  FakeSocket.last.receive({ event: "x" });
  off();
  FakeSocket.last.receive({ event: "x" });
  assert.deepEqual(order, [1, 2, 1]);
  assert.equal(report.mock.callCount(), 2);
  assert.deepEqual(heard, []);
});
