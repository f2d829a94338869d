/**
 * Where this device stands in each stream, and whether the server is sending what comes. Pure: no clock, no socket.
 *
 *     asleep ─want─▶ wanted ─Follow, Hello─▶ asked ─Followed(live)─▶ live
 *        ▲                                    ▲ │                      │ gap, Lagged
 *        └──────── rest, Unfollowed, Failed ──│─┴──────────────────────┤
 *                                             └────────────────────────┘
 *
 * Push, reconnect, a gap and a slow reader are one thing here: ask for everything after the cursor. As client/positions.py.
 *
 * Invariant: the cursor moves by one, only together with the event of that number being applied; nothing is applied twice or skipped.
 */
import { CURSORS_MAX, type Cursor } from "./protocol";

const STALLS_MAX = 8;
/** Of a stream that nobody ranked: as a community's. */
export const COMMUNITY = 4;

export type Phase = "asleep" | "wanted" | "asked" | "live";

class Position {
  phase: Phase = "asleep";
  askedId = 0;
  askedAfter = 0;
  stalls = 0;
  /** Where the next question begins, while what comes before it is under way; 0: nothing is to be asked ahead. */
  ahead = 0;
  /** An event was passed over that did not come next; none has been applied since. */
  torn = false;

  constructor(
    readonly stream: number,
    public seq: number,
  ) {}

  enter(phase: Phase): void {
    this.phase = phase;
    this.ahead = 0;
  }
}

export class Positions {
  readonly streams = new Map<number, Position>();
  /** Lower comes first. */
  readonly priorities = new Map<number, number>();

  constructor(cursors: ReadonlyMap<number, number>) {
    for (const [stream, seq] of cursors) this.streams.set(stream, new Position(stream, seq));
  }

  has(stream: number): boolean {
    return this.streams.has(stream);
  }

  /** The last event applied; 0 before the first. */
  cursor(stream: number): number {
    return this.streams.get(stream)?.seq ?? 0;
  }

  phase(stream: number): Phase {
    return this.streams.get(stream)?.phase ?? "asleep";
  }

  priority(stream: number): number {
    return this.priorities.get(stream) ?? COMMUNITY;
  }

  /** Asks for a stream from its cursor on, or from `after` for one that is not known yet. True if there is something new to ask. */
  want(stream: number, after = 0): boolean {
    let position = this.streams.get(stream);
    if (!position) this.streams.set(stream, (position = new Position(stream, after)));
    if (position.phase !== "asleep") return false;
    position.phase = "wanted";
    return true;
  }

  /** Stops wanting a stream; its cursor stays. True if the server was asked for it. */
  rest(stream: number): boolean {
    const position = this.streams.get(stream);
    if (!position || position.phase === "asleep") return false;
    const asked = position.phase !== "wanted";
    position.enter("asleep");
    return asked;
  }

  /** Drops even the cursor. */
  forget(stream: number): void {
    this.streams.delete(stream);
  }

  /** The cursors for `Hello`: everything that is wanted, up to the protocol's bound. What is left over stays wanted. */
  hello(): Cursor[] {
    const wanted = this.sorted().filter((position) => position.phase !== "asleep");
    for (const position of wanted) {
      position.enter("wanted");
      position.stalls = 0;
    }
    return wanted.slice(0, CURSORS_MAX).map(({ stream }) => ({ stream, seq: this.asked(stream, 0) }));
  }

  /** The streams to send a `Follow` for, the most urgent first. */
  unasked(): number[] {
    return this.sorted()
      .filter((position) => position.phase === "wanted" || position.ahead)
      .map((position) => position.stream);
  }

  /** The streams that are wanted and not known to be complete. */
  missing(): number[] {
    return [...this.streams.values()].filter(({ phase }) => phase === "wanted" || phase === "asked").map(({ stream }) => stream);
  }

  private sorted(): Position[] {
    return [...this.streams.values()].sort((a, b) => this.priority(a.stream) - this.priority(b.stream));
  }

  /** Notes that `Follow` number `id` goes out; the position it asks from. */
  asked(stream: number, id: number): number {
    const position = this.streams.get(stream)!;
    position.askedAfter = position.torn ? position.seq : Math.max(position.seq, position.ahead);
    position.torn = false;
    position.askedId = id;
    position.enter("asked");
    return position.askedAfter;
  }

  /** What an event is worth. Does not move the cursor: `apply` does, once the event has been taken. */
  judge(stream: number, seq: number): "apply" | "drop" | "ask" {
    const position = this.streams.get(stream);
    if (!position || position.phase === "asleep" || position.phase === "wanted" || seq <= position.seq) return "drop";
    if (seq === position.seq + 1) return "apply";
    if (position.phase === "asked") {
      position.torn = true;
      return "drop";
    }
    position.enter("wanted");
    return "ask";
  }

  /** The event was taken. */
  apply(stream: number, seq: number): void {
    const position = this.streams.get(stream)!;
    position.seq = seq;
    position.stalls = 0;
    position.torn = false;
  }

  /** The server has sent all up to `upto`. Asks on from the cursor where something is missing or more is to come. */
  followed(stream: number, id: number, upto: number, live: boolean): "nothing" | "ask" | "live" | "stalled" {
    const position = this.streams.get(stream);
    if (!position || position.phase !== "asked" || position.askedId !== id) return "nothing";
    if (live && position.seq >= upto) {
      position.enter("live");
      return "live";
    }
    let brought = false; // nothing since the last answer, unless an event comes in between
    if (!live && !position.torn && upto > position.seq) position.ahead = upto;
    else {
      position.enter("wanted");
      brought = position.seq !== position.askedAfter;
    }
    return !brought && ++position.stalls >= STALLS_MAX ? "stalled" : "ask";
  }
}
