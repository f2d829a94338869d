/**
 * Several tabs, one socket: the tab that holds the lock has session and store, the others talk to it over a channel.
 *
 *     a later tab ─ call, open ─▶ Tabs ─┬─ has the lock by now ─▶ Core
 *                                       └─ channel ─▶ Serving ─▶ Core, in the tab that has ─ results, values ─▶ channel ─▶ that tab
 *
 * The first tab opens the store itself and loads this a moment later, to answer others.
 * The browser gives the lock on when a tab goes, however it goes; the next one opens the store, says so, and everything that is still open is
 * asked of it anew. A mutation carries its caller's nonce, so one that had reached the store is not kept twice.
 *
 * Invariant: at most one tab has the store open; a tab that is gone leaves no subscription behind.
 */
import type { Conversation, Hub, Status } from "./api";
import type { Core } from "./core";
import { AccountError, BadFields, BadFrame, DiskFull, QueueFull, Refused, RequestFailed, Unreachable } from "./errors";

/** What goes over the channel. `from` and `to` are tabs. */
type Note =
  | { readonly kind: "who" }
  | { readonly kind: "leader"; readonly from: string }
  | { readonly kind: "call"; readonly from: string; readonly id: number; readonly method: string; readonly given: readonly unknown[] }
  | { readonly kind: "open"; readonly from: string; readonly id: number; readonly topic: string; readonly given: readonly number[] }
  | { readonly kind: "close"; readonly from: string; readonly id: number }
  | { readonly kind: "result"; readonly to: string; readonly id: number; readonly value: unknown }
  | { readonly kind: "error"; readonly to: string; readonly id: number; readonly error: Plain }
  | { readonly kind: "value"; readonly to: string; readonly id: number; readonly value: unknown; readonly kept: Kept | undefined };

/** Of a list of messages that was told before, so many at its beginning and at its end are as they were: what was told now lies between. */
type Kept = readonly [number, number];

/** An error as it can be cloned: which of `ERRORS` (-1: another), and what it says. */
type Plain = readonly [number, string, object];

const ERRORS = [Refused, RequestFailed, AccountError, Unreachable, BadFields, BadFrame, QueueFull, DiskFull];
/** Not asked of the next tab anew, when the one that was asked is gone: they may have had their effect. What is kept has its caller's nonce. */
const ONCE = /^(door\.|logOut$|ask$)/;

interface Call {
  readonly method: string;
  readonly given: readonly unknown[];
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

interface Opened {
  readonly topic: string;
  readonly given: readonly number[];
  readonly listener: (value: unknown) => void;
  off: () => void;
  /** What was told last. */
  last: unknown;
}

function lockOf(name: string, what: string): string {
  return `educonnect/${name}/${what}`;
}

/** The lock that says which tab has the socket. */
export const SOCKET = "socket";

/** As the tab that has the socket: answers the others, until `over`. */
export class Serving {
  private readonly channel: BroadcastChannel;
  /** By tab: what it has open here. */
  private readonly served = new Map<string, Map<number, () => void>>();

  constructor(
    private readonly name: string,
    private readonly id: string,
    private readonly core: Core,
    private readonly over: AbortSignal,
  ) {
    this.channel = new BroadcastChannel(`educonnect/${name}`);
    this.channel.onmessage = (event) => this.serve(event.data as Note);
    over.addEventListener("abort", () => this.channel.close());
    this.post({ kind: "leader", from: id });
  }

  private post(note: Note): void {
    if (!this.over.aborted) this.channel.postMessage(note);
  }

  private serve(note: Note): void {
    const { core } = this;
    if (note.kind === "who") this.post({ kind: "leader", from: this.id });
    else if (note.kind === "call") {
      const { from: to, id, method, given } = note;
      core.call(method, ...given).then(
        (value) => this.post({ kind: "result", to, id, value }),
        (error: unknown) => this.post({ kind: "error", to, id, error: plain(error) }),
      );
    } else if (note.kind === "open") {
      const { from: to, id, topic, given } = note;
      const of = this.served.get(to) ?? this.expect(to);
      of.get(id)?.();
      of.set(id, core.open(topic, given, teller(topic, (value, kept) => this.post({ kind: "value", to, id, value, kept }))));
    } else if (note.kind === "close") {
      this.served.get(note.from)?.get(note.id)?.();
      this.served.get(note.from)?.delete(note.id);
    }
  }

  /** Another tab has something open here: when it is gone, that ends. */
  private expect(tab: string): Map<number, () => void> {
    const of = new Map<number, () => void>();
    this.served.set(tab, of);
    void navigator.locks
      .request(lockOf(this.name, tab), { signal: this.over }, () => {
        for (const off of of.values()) off();
        this.served.delete(tab);
      })
      .catch(() => undefined);
    return of;
  }
}

/** As a tab that came later: asks the one that has the socket, and takes its place when it goes. */
export class Tabs implements Hub {
  private readonly id = crypto.randomUUID();
  private readonly channel: BroadcastChannel;
  private readonly calls = new Map<number, Call>();
  private readonly opened = new Map<number, Opened>();
  private core: Core | undefined;
  private leader = "";
  private lastId = 0;
  private release: () => void = () => undefined;
  private readonly closed = new AbortController();
  /** A tab is known that has the socket; or this one could not open the store. */
  readonly ready: Promise<void>;
  private known: () => void = () => undefined;

  constructor(
    private readonly name: string,
    openCore: () => Promise<Core>,
  ) {
    this.channel = new BroadcastChannel(`educonnect/${name}`);
    this.channel.onmessage = (event) => this.hear(event.data as Note);
    const { signal } = this.closed;
    // Held as long as this tab lives: whoever waits for it learns that it is gone.
    void navigator.locks.request(lockOf(name, this.id), { signal }, () => new Promise<void>((go) => signal.addEventListener("abort", () => go()))).catch(() => undefined);
    this.ready = new Promise((resolve, reject) => {
      this.known = resolve;
      navigator.locks.request(lockOf(name, SOCKET), { signal }, () => this.lead(openCore)).catch((error: unknown) => {
        if (!signal.aborted) reject(error);
      });
    });
    this.post({ kind: "who" });
  }

  private post(note: Note): void {
    if (!this.closed.signal.aborted) this.channel.postMessage(note);
  }

  private async lead(openCore: () => Promise<Core>): Promise<void> {
    const core = await openCore();
    const { signal } = this.closed;
    if (signal.aborted) return core.close();
    this.core = core;
    this.follow(this.id);
    new Serving(this.name, this.id, core, signal);
    await new Promise<void>((go) => (this.release = go));
    await core.close();
  }

  private hear(note: Note): void {
    if (note.kind === "leader") this.follow(note.from);
    if (!("to" in note) || note.to !== this.id) return;
    if (note.kind === "value") this.tell(note.id, note.value, note.kept);
    else this.settle(note.id, (call) => (note.kind === "result" ? call.resolve(note.value) : call.reject(revived(note.error))));
  }

  /** A tab has the socket now: it is asked for everything that is open here. */
  private follow(leader: string): void {
    if (this.leader === leader) return;
    const isFirst = !this.leader;
    this.leader = leader;
    for (const [id, call] of this.calls) {
      if (isFirst || !ONCE.test(call.method)) this.ask(id, call);
      else this.settle(id, ({ reject }) => reject(new Unreachable("the tab that was asked is gone; look whether it was done")));
    }
    for (const [id, one] of this.opened) this.begin(id, one);
    this.known();
  }

  private ask(id: number, { method, given }: Call): void {
    if (!this.core) return this.post({ kind: "call", from: this.id, id, method, given });
    this.core.call(method, ...given).then(
      (value) => this.settle(id, ({ resolve }) => resolve(value)),
      (error: unknown) => this.settle(id, ({ reject }) => reject(error)),
    );
  }

  private begin(id: number, one: Opened): void {
    const { topic, given } = one;
    if (this.core) one.off = this.core.open(topic, given, one.listener);
    else {
      one.off = () => this.post({ kind: "close", from: this.id, id });
      this.post({ kind: "open", from: this.id, id, topic, given });
    }
  }

  private tell(id: number, told: unknown, kept: Kept | undefined): void {
    const one = this.opened.get(id);
    if (!one) return;
    const value = kept ? whole(one.last as Conversation, told as Conversation, kept) : told;
    one.last = value;
    one.listener(one.topic === "status" ? { ...(value as Status), leader: false } : value);
  }

  private settle(id: number, act: (call: Call) => void): void {
    const call = this.calls.get(id);
    this.calls.delete(id);
    if (call) act(call);
  }

  call(method: string, ...given: unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const id = ++this.lastId;
      const call = { method, given, resolve, reject };
      this.calls.set(id, call);
      if (this.leader) this.ask(id, call);
    });
  }

  open(topic: string, given: readonly number[], listener: (value: unknown) => void): () => void {
    const id = ++this.lastId;
    const one: Opened = { topic, given, listener, off: () => undefined, last: undefined };
    this.opened.set(id, one);
    if (this.leader) this.begin(id, one);
    return () => {
      if (this.opened.delete(id)) one.off();
    };
  }

  /** This tab goes; the lock goes to another one. */
  async close(): Promise<void> {
    this.closed.abort();
    this.release();
    this.channel.close();
  }
}

/** Tells a topic's values to another tab: of a conversation what is new in it, since thousands of messages may be held. */
function teller(topic: string, tell: (value: unknown, kept?: Kept) => void): (value: unknown) => void {
  if (topic !== "stream") return (value) => tell(value);
  let before: Conversation["messages"] = [];
  return (value) => {
    const conversation = value as Conversation;
    const { messages } = conversation;
    const most = Math.min(before.length, messages.length);
    let head = 0;
    while (head < most && before[head] === messages[head]) head++;
    let tail = 0;
    while (tail < most - head && before.at(-1 - tail) === messages.at(-1 - tail)) tail++;
    const kept = head + tail ? ([head, tail] as const) : undefined;
    before = messages;
    tell(kept ? { ...conversation, messages: messages.slice(head, messages.length - tail) } : conversation, kept);
  };
}

function whole(before: Conversation, told: Conversation, [head, tail]: Kept): Conversation {
  const { messages } = before;
  return { ...told, messages: [...messages.slice(0, head), ...told.messages, ...messages.slice(messages.length - tail)] };
}

function plain(error: unknown): Plain {
  const { message, ...more } = error as Error;
  return [ERRORS.findIndex((kind) => error instanceof kind), message ?? String(error), { ...more }];
}

function revived([kind, message, more]: Plain): Error {
  const shape = ERRORS[kind];
  return shape ? Object.assign(Object.create(shape.prototype) as Error, more, { message }) : new Error(message);
}
