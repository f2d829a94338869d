/**
 * A device's mutations: kept, numbered, sent in a window, sent again, decided.
 *
 *     submit ─▶ store, replica, ledger ─take─▶ Chunk, Mutate ·· Done, DoneRun, Refused ─▶ each one's promise
 *
 * What is under way is bounded in bytes by two chunks, and in mutations by a window that opens by one with every window answered and narrows
 * when the server is too busy (refusals.ts). As client/mutations.py.
 *
 * Invariant: what was submitted is in the store until the server has decided it, and is asked for again on every new socket.
 */
import { decodeOperation, encode } from "./codec";
import { DeviceCopied, Refused } from "./errors";
import { entry, Ledger, type Entry } from "./ledger";
import { CHUNK_BYTES_GOAL, Code, type Operation, type Raw } from "./protocol";
import type { After } from "./questions";
import { rest } from "./rarely";
import { echoOf, type Store } from "./store";

const IN_FLIGHT_BYTES_MAX = 2 * CHUNK_BYTES_GOAL;
const OUTCOMES_KEPT = 64;
const FRAME_BYTES = 12;

/** Who shows records with one's own changes over them. */
export interface Overlay {
  appended(key: number, operation: Raw): void;
  /** Written as the record's `version`; 0: not, or not a record. */
  settled(key: number, version: number): void;
  /** Everything may be otherwise now. */
  reload(): void;
}

/** How mutations leave. */
export interface Parcels {
  /** How many bytes one adds behind another; at most. */
  weigh(one: Entry, before?: Entry): number;
  /** The frames that carry them, in order. */
  wrap(entries: readonly Entry[]): Uint8Array[];
}

export function alone(one: Entry): Uint8Array {
  return encode({ type: "Mutate", number: one.number, operation: one.operation });
}

/** One by one, while what packs changes to records together has not come. */
const ALONE: Parcels = { weigh: (one) => one.operation.length + FRAME_BYTES, wrap: (entries) => entries.map(alone) };

interface Waiter {
  resolve(value: number): void;
  reject(error: Error): void;
}

/** Nonce, code, value, detail. */
type Told = readonly [string, number, number, string];

export class Mutations {
  ledger: Ledger;
  overlay: Overlay | undefined;
  parcels: Parcels = ALONE;
  private readonly waiters = new Map<number, Waiter[]>();
  private told: Told[];
  private decidedUpto = 0;
  /** Rounds in which something came back, and how long it is held. */
  futile = 0;
  holdMs = 0;
  window = 1;
  private windowMax = 1;
  /** Mutations that were answered, on all sockets. */
  answers = 0;
  /** Told each operation with its outcome. */
  decided: (key: number, operation: Raw, code: number, value: number, detail: string) => void = () => undefined;

  constructor(
    readonly store: Store,
    private readonly wall: () => number,
    readonly spread: () => number,
    readonly wake: () => void,
    readonly after: After,
  ) {
    this.ledger = this.begin();
    this.told = (store.noted("outcomes") ?? []) as unknown as Told[];
  }

  begin(): Ledger {
    return new Ledger([...this.store.mutations.values()].map((kept) => entry(kept.key, kept.operation, kept.number)));
  }

  // The application's side

  get inFlight(): number {
    return this.ledger.inFlight;
  }

  /** Mutations without an outcome. */
  get pending(): number {
    return this.store.mutations.size;
  }

  /** Keeps a mutation and queues it; the promise is of its value. The same `nonce` again is the same mutation. Throws `BadFrame` for one that
   *  no server would take, `QueueFull`. */
  submit(operation: Operation, nonce: string): { key: number; value: Promise<number> } {
    const known = [...this.store.mutations.values()].find((kept) => nonce && kept.nonce === nonce);
    const told = this.told.find((one) => nonce && one[0] === nonce);
    if (told) {
      const [, code, value, detail] = told;
      return { key: 0, value: code ? Promise.reject(new Refused(code, detail)) : Promise.resolve(value) };
    }
    const key = known?.key ?? this.keep(operation, nonce);
    const value = new Promise<number>((resolve, reject) => {
      const waiters = this.waiters.get(key) ?? [];
      this.waiters.set(key, [...waiters, { resolve, reject }]);
    });
    return { key, value };
  }

  private keep(operation: Operation, nonce: string): number {
    const frozen = encode(operation);
    decodeOperation(frozen);
    this.ledger.checkRoom();
    const key = this.store.append(frozen, nonce);
    this.ledger.append(entry(key, frozen));
    this.overlay?.appended(key, frozen);
    this.wake();
    return key;
  }

  // The socket's side

  /** The highest number that this store ever gave under its device. */
  get given(): number {
    return this.store.lastNumber;
  }

  /** Whether there are mutations that were decided on an earlier socket, and their outcomes are still to be heard. */
  get isLearning(): boolean {
    return this.ledger.lowest > 0 && this.ledger.lowest <= this.decidedUpto;
  }

  /** A session is open: everything without an outcome is asked for again. */
  welcome(lastNumber: number, inFlightMax: number): void {
    if (this.given > 0 && this.given < lastNumber) {
      throw new DeviceCopied(`the server has decided ${lastNumber} mutations, and this store has numbered ${this.given}`);
    }
    this.decidedUpto = lastNumber;
    this.window = this.windowMax = Math.max(1, inFlightMax);
    this.ledger.welcomed(lastNumber);
  }

  /** The socket is gone. */
  cut(): void {
    this.ledger.cut();
    this.holdMs = 0;
  }

  /** The frames of those that are sent next; what it returns counts as sent, once the store is durable. */
  take(roomBytes: number, roomFrames: number): Uint8Array[] {
    const taken = this.ledger.take(Math.floor(this.window), Math.min(roomBytes, CHUNK_BYTES_GOAL), roomFrames, IN_FLIGHT_BYTES_MAX, this.parcels.weigh);
    const fresh = taken.filter((one) => !one.noted);
    if (fresh.length) this.store.number(fresh.map((one) => [one.key, one.number] as const));
    for (const one of fresh) one.noted = true;
    return this.parcels.wrap(taken);
  }

  /** The server committed these numbers, from `first` on. */
  commit(first: number, values: readonly number[]): void {
    const settled = values.map((value, place) => ({ one: this.ledger.settle(first + place), value }));
    this.settle(settled.flatMap(({ one, value }) => (one ? [{ key: one.key, code: Code.OK, value, detail: "" }] : [])));
  }

  settle(settled: readonly { key: number; code: number; value: number; detail: string }[]): void {
    if (settled.length) {
      this.decide(settled);
      this.window = Math.min(this.windowMax, this.window + settled.length / this.window);
    }
    this.futile = 0;
    this.answered();
  }

  /** These have their outcomes: the store, the replica and whoever waits are told. */
  decide(settled: readonly { key: number; code: number; value: number; detail: string }[]): void {
    const before = settled.map((one) => this.store.mutations.get(one.key)!);
    this.store.settle(settled, Math.floor(this.wall() / 1000));
    for (const [place, { key, code, value, detail }] of settled.entries()) {
      const kept = before[place]!;
      this.overlay?.settled(key, code === Code.OK ? echoOf(kept.operation, value) : 0);
      if (kept.nonce) {
        this.told = [...this.told, [kept.nonce, code, value, detail] as const].slice(-OUTCOMES_KEPT);
        this.store.note("outcomes", this.told);
      }
      for (const waiter of this.waiters.get(key) ?? []) {
        if (code === Code.OK) waiter.resolve(value);
        else waiter.reject(new Refused(code, detail));
      }
      this.waiters.delete(key);
      this.decided(key, kept.operation, code, value, detail);
    }
  }

  /** One was answered. */
  answered(): void {
    this.answers++;
    if (this.ledger.mayRewind) rest()!.rewindLater(this);
    this.wake();
  }
}
