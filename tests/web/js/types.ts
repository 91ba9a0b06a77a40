// What the types allow and what they refuse; `tsc --noEmit` reads this, nobody runs it.
import { type Answer, Client, ConnectionLost, EventError, OutcomeUnknown, connect } from "trio-wss";

interface Chat {
  said: { n: number; text: string };
  cleared: null;
}

const client = connect<Chat>(["wss://a.example/", new URL("wss://b.example/")], { backOff: [1, 5] });
const off: () => void = client.on("said", ({ n, text }, { topic, offset }) => {
  const shown: string = text + n.toFixed() + topic?.length + offset?.toFixed();
  void shown;
});
off();
client.on("wss.connected", ({ resumed }) => resumed === true);
client.on("wss.disconnected", ({ wait }) => wait?.toFixed());
client.on("wss.joined", ({ recovered }) => recovered === true);
// @ts-expect-error: there is no such event
client.on("sayd", () => {});
// @ts-expect-error: text is no number
client.on("said", ({ text }) => text.toFixed());

const answer: Answer<{ n: number }> = await client.send<{ n: number }>("say", { text: "hi" });
answer.data.n.toFixed();
await client.send("say", null, { again: true, signal: AbortSignal.timeout(1000) });
// @ts-expect-error: a client is made by connect
new Client();
// @ts-expect-error: read only
client.state = "closed";

try {
  client.close(4000, "bye");
} catch (error) {
  if (error instanceof EventError) error.code.length + error.path.length;
  if (error instanceof OutcomeUnknown) error.code.toFixed();
  if (error instanceof ConnectionLost) error.reason.length;
}

for (const [topic, [epoch, offset]] of client.topics) topic + epoch + offset.toFixed();

// @ts-expect-error: there is no such option
connect("/", { pingIntervall: 1 });
// @ts-expect-error: a number of seconds
connect("/", { giveUp: "soon" });
// @ts-expect-error: no address
connect(undefined);
// @ts-expect-error: nor is this
connect(() => 5);
// @ts-expect-error: a WebSocket is made with new
connect("/", { WebSocket: () => {} });
// @ts-expect-error: an event has a name
void client.send();
// @ts-expect-error: there is no such option
void client.send("say", 1, { agian: true });

const loose = connect(async () => "/?token=1");
loose.on("anything", (data) => data.at.all);
