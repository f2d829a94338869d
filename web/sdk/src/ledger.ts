/**
 * The mutations that have no outcome yet, in the order in which they were asked for. Pure: no clock, no disk, no socket.
 *
 *     append ─▶ waiting ─take─▶ sent ─Done, Refused for good─▶ gone
 *                  ▲              │ Refused "same" or "later": hold; once all that was sent is answered, back to the front
 *                  └──────────────┘ cut: back to the front at once
 *
 * A number is given at the first sending, after the server has said up to where it has decided. As client/ledger.py.
 *
 * Invariant: what is sent at once is in order and lies in a run of consecutive numbers that begins at the lowest unanswered one and is no
 * longer than the window.
 */
import { QueueFull } from "./errors";
import type { Raw } from "./protocol";

export const UNANSWERED_MAX = 50_000;

/** One mutation. `number` is 0 until it is first sent, `noted` once the store knows it; `weight`: how many bytes of the socket it took. */
export interface Entry {
  readonly key: number;
  operation: Raw;
  number: number;
  noted: boolean;
  weight: number;
}

export function entry(key: number, operation: Raw, number = 0): Entry {
  return { key, operation, number, noted: number > 0, weight: 0 };
}

export class Ledger {
  waiting: Entry[];
  readonly sent = new Map<number, Entry>();
  private readonly bounced = new Set<number>();
  private sentBytes = 0;
  private nextNumber = 0;

  constructor(entries: Iterable<Entry>) {
    this.waiting = [...entries];
  }

  get length(): number {
    return this.waiting.length + this.sent.size;
  }

  /** Sent on the present socket and not answered. */
  get inFlight(): number {
    return this.sent.size - this.bounced.size;
  }

  /** All that was sent has been answered, and some of it has to be sent again. */
  get mayRewind(): boolean {
    return this.bounced.size > 0 && this.inFlight === 0;
  }

  /** The lowest unanswered number; 0 where nothing is numbered. */
  get lowest(): number {
    return (this.sent.values().next().value ?? this.waiting[0])?.number ?? 0;
  }

  /** Throws `QueueFull` at the bound. */
  checkRoom(): void {
    if (this.length >= UNANSWERED_MAX) throw new QueueFull(`${this.length} mutations have no outcome yet, and no more are kept`);
  }

  /** Puts a new mutation last. */
  append(one: Entry): void {
    this.waiting.push(one);
  }

  /** The server has decided up to `lastNumber`; what was numbered above it is numbered on from there. */
  welcomed(lastNumber: number): void {
    this.cut();
    let number = lastNumber + 1;
    let fresh = false;
    for (const one of this.waiting) {
      if (one.number > 0 && one.number <= lastNumber) continue;
      fresh ||= one.number === 0;
      const renumbered = fresh ? 0 : number;
      if (one.number !== renumbered) {
        one.number = renumbered;
        one.noted = false;
      }
      if (!fresh) number++;
    }
    this.nextNumber = number;
  }

  /** What goes into the next message, in order; new ones get their numbers here. One is taken even if it alone has more than `bytesMax`,
   *  unless that is below zero. `weigh`: how many bytes one adds behind another. */
  take(window: number, bytesMax: number, entriesMax: number, windowBytes: number, weigh: (one: Entry, before?: Entry) => number): Entry[] {
    const taken: Entry[] = [];
    let lowest = this.sent.keys().next().value ?? 0;
    while (this.waiting.length && bytesMax >= 0 && !this.bounced.size && taken.length < entriesMax) {
      const one = this.waiting[0]!;
      const number = one.number || this.nextNumber;
      lowest ||= number;
      if (number >= lowest + window) break;
      const weight = weigh(one, taken.at(-1));
      bytesMax -= weight;
      if (taken.length && bytesMax < 0) break;
      if (this.sent.size && this.sentBytes + weight > windowBytes) break;
      this.waiting.shift();
      if (!one.number) {
        one.number = number;
        this.nextNumber++;
      }
      one.weight = weight;
      this.sent.set(number, one);
      this.sentBytes += weight;
      taken.push(one);
    }
    return taken;
  }

  /** The mutation has its outcome. Undefined if it had one already. */
  settle(number: number): Entry | undefined {
    const one = this.sent.get(number);
    if (one) {
      this.sent.delete(number);
      this.bounced.delete(number);
      this.sentBytes -= one.weight;
    }
    return one;
  }

  /** The server did not consume this number. What was sent behind it will come back too: nothing more goes out before `rewind`. */
  bounce(number: number): void {
    if (this.sent.has(number)) this.bounced.add(number);
  }

  /** Puts all that was sent back in front, to be sent again in order. */
  rewind(): void {
    this.waiting.unshift(...this.sent.values());
    this.sent.clear();
    this.sentBytes = 0;
    this.bounced.clear();
  }

  /** The socket is gone: whatever was sent has an unknown outcome, and is asked for again under its number. */
  cut(): void {
    this.rewind();
  }
}
