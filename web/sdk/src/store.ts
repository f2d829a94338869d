/**
 * What a device remembers between sockets and pages: an image in memory, and behind it a disk that keeps up.
 *
 *     submit ──append──▶ ┌───────┐ ◀── number, settle: what the server decided        ┌──────┐
 *     cursors, notes ──▶ │ image │ ──── what changed, in one batch, in order ───────▶ │ disk │   IndexedDB, SQLite, memory
 *                        └───────┘ ◀── everything, once, at the start ─────────────── └──────┘
 *
 * Every change is synchronous: nothing falls between two halves of it. The disk gets whole states, one after the other: a batch holds all
 * that has changed up to one moment, so what a killed page leaves is the state at some moment, and not before the last `durable` that was
 * awaited. Whoever sends a mutation awaits it first: a number that reached the server must never be given twice. Records are rows of the same
 * batches, looked after by record_store.ts once that has come. What is done to the whole of it is in forgetting.ts.
 *
 * Invariant: a mutation that was appended is in `mutations` until it is settled, under the same key, bytes and (once given) number.
 */
import { pack, unpack, type Packed } from "./msgpack";
import type { Raw } from "./protocol";

/** The storage interface: rows of bytes by name. React Native's SQLite needs one table. */
export interface Disk {
  /** Every row. */
  load(): Promise<ReadonlyMap<string, Uint8Array>>;
  /** Writes and (null) deletes rows, all or none. Rejected with `DiskFull` where there is no room. */
  write(rows: ReadonlyMap<string, Uint8Array | null>): Promise<void>;
  close(): void;
}

/** A mutation. Ascending `key` is the order of asking; `number` is 0 while it was never sent; `nonce` is its caller's name for it. */
export interface Kept {
  readonly key: number;
  operation: Raw;
  number: number;
  readonly nonce: string;
}

/** A committed mutation, kept for a while in case the database is restored to a time before it. `echo`: the record's version, or the event of
 *  a conversation, that holds what it wrote, while that may not have come; otherwise 0. */
export interface Settled {
  readonly key: number;
  readonly operation: Raw;
  number: number;
  echo: number;
  readonly at: number;
}

/** A mutation that was refused for good, until the person has done something about it. `at`: Unix seconds. */
export interface Unapplied {
  readonly key: number;
  readonly operation: Raw;
  readonly code: number;
  readonly detail: string;
  readonly at: number;
}

/** Rows that are somebody else's: records, when who keeps them has come. */
export interface Keeper {
  /** Their names. */
  names(): Iterable<string>;
  /** All of them are forgotten, or (`epoch`) what is under way. */
  clear(epoch: boolean): void;
}

const SETTLED_MAX = 4096;
const SETTLED_S = 30 * 86_400;
const SETTLED_LEAST = 256;
const UNAPPLIED_MAX = 10_000;

type Row = () => Packed;

/** Say, Edit, Delete, React, Post. */
const CHAT: readonly unknown[] = [1, 2, 3, 4, 17];

export function isChat(operation: Raw): boolean {
  return CHAT.includes(operation[1]);
}

/** The event of a conversation as which it was committed; the version as which a change was written, of its outcome `n * 8 + what`; 0: it was
 *  not, or it is neither. */
export function echoOf(operation: Raw, value: number): number {
  if (isChat(operation)) return value;
  // A Change that was applied, known before, or merged.
  return operation[1] === 18 && value % 8 <= 2 ? Math.floor(value / 8) : 0;
}

export class Store {
  device = 0;
  epoch = 0;
  /** The highest number that was ever given under this device. */
  lastNumber = 0;
  readonly cursors = new Map<number, number>();
  readonly mutations = new Map<number, Kept>();
  readonly settled = new Map<number, Settled>();
  readonly failures = new Map<number, Unapplied>();
  readonly notes = new Map<string, Packed>();
  /** The names of all notes that are on the disk, or will be. */
  readonly written = new Set<string>();
  /** Rows that nobody has claimed yet, as they were on the disk. */
  readonly unclaimed = new Map<string, Packed>();
  keeper: Keeper | undefined;
  private nextKey = 1;
  /** Counts snapshots. */
  serial = 0;
  /** What is to be written next. */
  dirty = new Map<string, Row | null>();
  private writing: Promise<void> | undefined;
  /** Told when the disk refuses a batch; true: something was given up, and it is tried again. */
  onTrouble: (error: unknown) => Promise<boolean> = async () => false;

  private constructor(readonly disk: Disk) {}

  /** Opens the store on a disk. Rejected with what the disk says. */
  static async open(disk: Disk): Promise<Store> {
    const store = new Store(disk);
    for (const [name, bytes] of await disk.load()) store.take(name, unpack(bytes));
    return store;
  }

  private take(name: string, row: Packed): void {
    const [kind, first = ""] = name.split("/");
    const list = row as any[];
    const id = Number(first);
    if (kind === "f") [this.device, this.epoch, this.lastNumber, this.nextKey, this.serial] = list as [number, number, number, number, number];
    else if (kind === "c") this.cursors.set(id, row as number);
    else if (kind === "m") this.mutations.set(id, { key: id, operation: list[0], number: list[1], nonce: list[2] });
    else if (kind === "s") this.settled.set(id, { key: id, operation: list[0], number: list[1], echo: list[2], at: list[3] });
    else if (kind === "u") this.failures.set(id, { key: id, operation: list[0], code: list[1], detail: list[2], at: list[3] });
    else if (kind === "n") {
      this.notes.set(name.slice(2), row);
      this.written.add(name.slice(2));
    } else this.unclaimed.set(name, row);
  }

  /** Whoever keeps the rows of other kinds takes them over. */
  claim(keeper: Keeper): ReadonlyMap<string, Packed> {
    this.keeper = keeper;
    const rows = new Map(this.unclaimed);
    this.unclaimed.clear();
    return rows;
  }

  // The disk

  /** Everything up to now is on the disk when the promise is fulfilled. */
  async durable(): Promise<void> {
    while (this.writing || this.dirty.size) await (this.writing ??= this.flush());
  }

  private async flush(): Promise<void> {
    // What changes in the same step of the program goes into the same batch.
    await Promise.resolve();
    const rows = this.dirty;
    this.dirty = new Map();
    try {
      await this.disk.write(new Map([...rows].map(([name, row]) => [name, row && pack(row())])));
    } catch (error) {
      for (const [name, row] of rows) if (!this.dirty.has(name)) this.dirty.set(name, row);
      if (!(await this.onTrouble(error))) throw error;
    } finally {
      this.writing = undefined;
    }
    if (this.dirty.size) this.begin();
  }

  private begin(): void {
    // Whoever awaits `durable` hears of a failure; the next change tries again.
    if (!this.writing) (this.writing = this.flush()).catch(() => undefined);
  }

  /** Writes a row, or (null) takes it away, with everything else of this step of the program. */
  put(name: string, row: Row | null): void {
    this.dirty.set(name, row);
    this.begin();
  }

  /** Ends it; what has changed is written first. */
  async close(): Promise<void> {
    try {
      await this.durable();
    } finally {
      this.disk.close();
    }
  }

  putFacts(): void {
    this.put("f", () => [this.device, this.epoch, this.lastNumber, this.nextKey, this.serial]);
  }

  // Whose it is

  /** Makes the store this device's. What was numbered under another one keeps its number, until that one's heir has asked what became of it
   *  (heirs.ts): asked for again it might take effect twice. */
  bind(device: number): void {
    if (this.device === device) return;
    // Bound twice before it was asked: nothing was numbered in between, so the numbers are still the first one's.
    const numbered = [...this.mutations.values()].some((kept) => kept.number);
    this.note("heir", numbered ? (this.noted("heir") ?? this.device) : undefined);
    for (const kept of this.settled.values()) this.putSettled({ ...kept, number: 0 });
    this.device = device;
    this.lastNumber = 0;
    this.putFacts();
  }

  /** The database lives in this epoch; if the store knew another one, all cursors are void. */
  beginEpoch(epoch: number): void {
    if (this.epoch === epoch) return;
    if (this.epoch) {
      for (const stream of this.cursors.keys()) this.put(`c/${stream}`, null);
      this.cursors.clear();
      this.keeper?.clear(true);
      for (const kept of this.settled.values()) if (kept.echo) this.putSettled({ ...kept, echo: 0 });
    }
    this.epoch = epoch;
    this.putFacts();
  }

  // Mutations

  /** Keeps a mutation; its key. */
  append(operation: Raw, nonce: string): number {
    const kept = { key: this.nextKey++, operation, number: 0, nonce };
    this.putFacts();
    this.keep(kept);
    return kept.key;
  }

  keep(kept: Kept): void {
    this.mutations.set(kept.key, kept);
    this.put(`m/${kept.key}`, () => [kept.operation, kept.number, kept.nonce]);
  }

  /** Writes down (key, number) pairs; they are sent when that is durable. */
  number(numbers: readonly (readonly [number, number])[]): void {
    for (const [key, number] of numbers) {
      this.keep({ ...this.mutations.get(key)!, number });
      this.lastNumber = Math.max(this.lastNumber, number);
    }
    this.putFacts();
  }

  /** These have their outcome, at so many Unix seconds: committed ones are kept for a while, refused ones until somebody has seen them. */
  settle(settled: readonly { key: number; code: number; value: number; detail: string }[], at: number): void {
    for (const { key, code, value, detail } of settled) {
      const kept = this.mutations.get(key);
      if (!kept) continue;
      this.mutations.delete(key);
      this.put(`m/${key}`, null);
      const { operation, number } = kept;
      if (code === 0) this.putSettled({ key, operation, number, echo: echoOf(operation, value), at });
      else {
        this.failures.set(key, { key, operation, code, detail, at });
        this.put(`u/${key}`, () => [operation, code, detail, at]);
      }
    }
    this.prune(at);
  }

  putSettled(kept: Settled): void {
    this.settled.set(kept.key, kept);
    this.put(`s/${kept.key}`, () => [kept.operation, kept.number, kept.echo, kept.at]);
  }

  /** What it wrote has come. */
  heardEcho(key: number): void {
    const kept = this.settled.get(key);
    if (kept?.echo) this.putSettled({ ...kept, echo: 0 });
  }

  private prune(now: number): void {
    for (const [key, kept] of this.settled) {
      const old = this.settled.size > SETTLED_MAX || (kept.at < now - SETTLED_S && this.settled.size > SETTLED_LEAST);
      if (!old) break;
      this.settled.delete(key);
      this.put(`s/${key}`, null);
    }
    while (this.failures.size > UNAPPLIED_MAX) this.discard(this.failures.keys().next().value!);
  }

  /** What was refused for good, oldest first. */
  unapplied(): Unapplied[] {
    return [...this.failures.values()];
  }

  /** The person has seen to a refused mutation. */
  discard(key: number): void {
    this.failures.delete(key);
    this.put(`u/${key}`, null);
  }

  /** Gives mutations that no server has decided other bytes and no number. */
  freezeAgain(changes: readonly (readonly [number, Raw])[]): void {
    for (const [key, operation] of changes) this.keep({ ...this.mutations.get(key)!, operation, number: 0 });
  }

  // Streams

  /** Everything in a stream up to `seq` is worked through. */
  advance(stream: number, seq: number): void {
    if ((this.cursors.get(stream) ?? -1) < seq) this.setCursor(stream, seq);
  }

  setCursor(stream: number, seq: number): void {
    this.cursors.set(stream, seq);
    this.put(`c/${stream}`, () => seq);
  }

  dropCursor(stream: number): void {
    if (this.cursors.delete(stream)) this.put(`c/${stream}`, null);
  }

  // Small things

  /** Keeps a small named value; undefined: forgets it. A function is asked for the value when it is written. */
  note(name: string, value: Packed | (() => Packed) | undefined): void {
    if (value === undefined) {
      this.notes.delete(name);
      this.written.delete(name);
      this.put(`n/${name}`, null);
      return;
    }
    this.written.add(name);
    if (typeof value === "function") {
      this.put(`n/${name}`, value);
      return;
    }
    this.notes.set(name, value);
    this.put(`n/${name}`, () => value);
  }

  /** A named value, as it was when the store was opened or last noted. */
  noted(name: string): Packed | undefined {
    return this.notes.get(name);
  }
}
