/** Where a client is in a topic: the epoch and the offset of the last broadcast. */
export type Place = readonly [epoch: string, offset: number];

/** The one answer to an event: the handler's reply, or `wss.ok` where it had nothing to say. */
export interface Answer<Data = any> {
  readonly event: string;
  readonly data: Data;
}

/** What an event is beside its data. Only a broadcast has a topic; a volatile one has no place. */
export interface About {
  readonly event: string;
  readonly topic?: string;
  readonly epoch?: string;
  /** Goes up by one in each topic, with no gap. */
  readonly offset?: number;
}

/** What the client and the server tell on their own account; the app's events stand beside. */
export interface OwnEvents {
  /**
   * A node has taken the client. `resumed`: the session goes on, and all that was missed follows.
   * Otherwise it is a new one: fetch anew what the page shows.
   */
  "wss.connected": { session: string; node: string; resumed: boolean };
  /**
   * The connection is over, or a try to get another has failed. `code` is that of the Close, 1006
   * if there was none; `wait` is in seconds; null: there will be no other try.
   */
  "wss.disconnected": { code: number; reason: string; wait: number | null };
  /**
   * The session is in a topic; what comes next there has offset + 1. `recovered: false`: broadcasts
   * are missing before it that are no longer kept; fetch anew what they would have told.
   */
  "wss.joined": { topic: string; epoch: string; offset: number; recovered: boolean };
  /** The session is in a topic no more. */
  "wss.left": { topic: string };
  /** An error that answers no event: above all, why the app refused the connection. */
  "wss.error": { code: string; message: string; path?: string };
}

export interface Options {
  /** Seconds that bound the first random wait before a new try, and every wait. [0.5, 15] */
  backOff?: readonly [first: number, most: number];
  /** Seconds without a connection after which the client is closed. Infinity */
  giveUp?: number;
  /** Seconds that everything up to a welcome may take. 10 */
  timeout?: number;
  /** Seconds without a word after which the node is asked for a sign of life. 20 */
  pingInterval?: number;
  /** Seconds without that sign; and before it is asked for, while an answer is due. 5 */
  pingTimeout?: number;
  /** What to make sockets with, where there is no global WebSocket. */
  WebSocket?: new (url: string) => any;
}

export interface SendOptions {
  /** Send it even in a new session, should it be unknown whether it was applied in the old one. */
  again?: boolean;
  /** Wait no longer than this says; the event may have been applied all the same. */
  signal?: AbortSignal;
}

/** `http` and `ws` are the same, and an address may be relative to the page. */
export type Address = string | URL;

/** The server refused an event. Nothing was applied. */
export class EventError extends Error {
  constructor(code: string, message?: string, path?: string);
  readonly name: "EventError";
  /** `invalid`, `unknown_event`, `refused`, `conflict`, `rate_limited`, … or the handler's own. */
  readonly code: string;
  /** Where in the data the fault is, or "". */
  readonly path: string;
}

/** The connection is over, and there will be no other. The event was not sent. */
export class ConnectionLost extends Error {
  constructor(code: number, reason?: string);
  readonly name: "ConnectionLost" | "OutcomeUnknown";
  /** The Close's code; 1006 if there was none, 0 if the connection lives. */
  readonly code: number;
  readonly reason: string;
}

/**
 * The event was sent, and its session ended before the answer came; or the node gave it none, over a
 * connection that lives. It may have been applied.
 */
export class OutcomeUnknown extends ConnectionLost {
  readonly name: "OutcomeUnknown";
}

/**
 * Connect to a node, and to another when that is lost: each try goes to the next address in turn.
 * A function makes the address anew for each try, with a fresh token in its query, say.
 *
 * Returns at once; events that are sent meanwhile wait. Throws TypeError for what is no address, for
 * an option that there is not, and where there is no WebSocket. An address that the browser refuses
 * is left out from then on; with none left the client is closed.
 */
export function connect<Events extends object = Record<string, any>>(
  url: Address | readonly Address[] | (() => Address | Promise<Address>),
  options?: Options,
): Client<Events>;

/** A session with a cluster of nodes; `connect` makes one. */
export class Client<Events extends object = Record<string, any>> {
  private constructor();

  /** The session's public name; "" before the first welcome. */
  readonly session: string;
  /** The node that the client is on, or was on last. */
  readonly node: string;
  readonly state: "connecting" | "connected" | "waiting" | "closed";
  /** The topics that the session is in, and where. A copy. */
  readonly topics: Map<string, Place>;
  /** How many events have no answer yet, those included that wait to be sent. */
  readonly unanswered: number;

  /** Call `listener` for each event of this name. Returns what takes it away again. */
  on<Name extends keyof OwnEvents>(
    event: Name,
    listener: (data: OwnEvents[Name], about: About) => void,
  ): () => void;
  on<Name extends keyof Events & string>(
    event: Name,
    listener: (data: Events[Name], about: About) => void,
  ): () => void;

  /**
   * Send an event; over as many connections as it takes, it is applied once, in the order sent.
   *
   * Rejects with EventError; with OutcomeUnknown if its session is over, or if the node gives it no
   * answer; with ConnectionLost if it was never sent; with the signal's reason. With TypeError, and
   * sends nothing, if `event` is no text or begins with `wss.`, and if JSON cannot hold the data.
   * While 64 are unanswered further ones wait.
   */
  send<Data = any>(event: string, data?: unknown, options?: SendOptions): Promise<Answer<Data>>;

  /**
   * Give the connection up and take the session on over another one, after `wait` seconds. While
   * the client waits for its next try: try now.
   */
  reconnect(wait?: number): void;

  /** Say goodbye, which ends the session. `code` is 1000, or one of 3000 to 4999. */
  close(code?: number, reason?: string): void;
}
