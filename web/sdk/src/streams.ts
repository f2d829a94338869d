/**
 * The streams that come: where each stands, who folds what, and what is kept as records.
 *
 *     follow ─▶ positions ─Follow─▶ ·· Event ─▶ judge ─▶ keep (records) ────▶ store, with the cursor
 *                                                   └──▶ reader (a conversation, the inbox) ─▶ store, with the cursor
 *
 * A stream without a reader is put to rest at its next event; `news` is told that there is something.
 *
 * Invariant: an event moves the cursor in the same step in which upkeep or the reader takes it.
 */
import { encode, type Heard, type UnknownEvent } from "./codec";
import { ServerFault } from "./errors";
import { Positions } from "./positions";
import type { Cursor, Event, Followed } from "./protocol";
import type { After } from "./questions";
import { rest } from "./rarely";
import type { Store } from "./store";

export type Fact = Event | UnknownEvent;

/** Folds a stream's events, and keeps what they come to. */
export interface Reader {
  take(fact: Fact): void;
  /** Everything up to now is here. */
  caughtUp(): void;
  /** It is followed no longer, because of `code`. */
  refused(code: number): void;
  /** The database was restored: its events come again from the first. */
  restarted(): void;
}

export class Streams {
  readonly positions: Positions;
  readonly readers = new Map<number, Reader>();
  readonly follows = new Map<number, number>();
  readonly retrying = new Set<number>();
  private unfollows: number[] = [];
  open = false;
  /** Takes an event of a stream of records, in its order: kept together with the cursor. False: nobody keeps that stream's. */
  keep: (fact: Fact, read: boolean) => boolean = () => false;
  /** Told each event that was taken, and, of a stream without a reader, that there is something. */
  news: (fact: Fact, taken: boolean) => void = () => undefined;
  /** Told each stream that may not be followed; true: it goes on from a snapshot. */
  refused: (stream: number, code: number) => boolean = () => false;

  constructor(
    private readonly store: Store,
    private readonly newId: () => number,
    readonly wake: () => void,
    readonly after: After,
    readonly spread: () => number,
  ) {
    this.positions = new Positions(store.cursors);
  }

  // What the application asks for

  /** Wants a stream from its cursor on (`after` counts for one that has none). */
  follow(stream: number, after?: number): void {
    if (this.positions.want(stream, after)) this.wake();
  }

  /** Stops wanting it. `forget`: the cursor is gone, too. */
  unfollow(stream: number, forget = false): void {
    this.retrying.delete(stream);
    this.rest(stream);
    if (!forget) return;
    this.positions.forget(stream);
    this.store.dropCursor(stream);
  }

  /** A snapshot of a stream is complete, or what is older is not wanted: what comes after `head` follows. */
  startAt(stream: number, head: number): void {
    this.rest(stream);
    this.positions.forget(stream);
    this.follow(stream, head);
  }

  // The socket's side

  /** A socket is open; `reset`: the database was restored. */
  welcome(reset: boolean): void {
    if (reset) for (const stream of rest()!.startOver(this.positions)) this.readers.get(stream)?.restarted();
    this.open = true;
  }

  cut(): void {
    this.open = false;
    this.follows.clear();
    this.unfollows = [];
    for (const stream of this.retrying) this.positions.want(stream);
    this.retrying.clear();
  }

  hello(): Cursor[] {
    return this.positions.hello();
  }

  /** The streams that are no longer wanted, as commands; what it returns counts as sent. */
  takeUnfollows(): Uint8Array[] {
    const streams = this.unfollows;
    this.unfollows = [];
    return streams.map((stream) => encode({ type: "Unfollow", id: this.newId(), stream }));
  }

  /** The command that asks for a stream from its cursor on; it counts as sent. */
  ask(stream: number): Uint8Array {
    const id = this.newId();
    this.follows.set(id, stream);
    return encode({ type: "Follow", id, stream, after: this.positions.asked(stream, id) });
  }

  /** Questions for streams that are open. */
  get asking(): number {
    return this.follows.size;
  }

  hearEvent(fact: Fact): void {
    const verdict = this.positions.judge(fact.stream, fact.seq);
    if (verdict === "ask") this.wake();
    if (verdict !== "apply") return;
    const reader = this.readers.get(fact.stream);
    if (!this.keep(fact, Boolean(reader)) && !reader) {
      this.rest(fact.stream);
      this.news(fact, false);
      return;
    }
    this.store.advance(fact.stream, fact.seq);
    this.positions.apply(fact.stream, fact.seq);
    reader?.take(fact);
    this.news(fact, true);
  }

  hearFollowed({ id, stream, upto, live }: Followed): void {
    this.follows.delete(id);
    this.wake();
    const heard = this.positions.followed(stream, id, upto, live);
    if (heard === "live") this.readers.get(stream)?.caughtUp();
    if (heard === "stalled") throw new ServerFault(`stream ${stream} is said to have more after ${this.positions.cursor(stream)}, and nothing comes`);
  }

  rest(stream: number): void {
    if (!this.positions.rest(stream) || !this.open) return;
    this.unfollows.push(stream);
    this.wake();
  }
}

/** Whether a frame is an event. */
export function isFact(frame: Heard): frame is Fact {
  return frame.type === "Event" || frame.type === "UnknownEvent";
}
