/**
 * What a device remembers between sockets and pages: an image in memory, and behind it a disk that keeps up.
 *
 *     submit ──append──▶ ┌───────┐ ◀── number, settle: what the server decided        ┌──────┐
 *     events ──apply───▶ │ image │ ──── what changed, in one batch, in order ───────▶ │ disk │   IndexedDB, SQLite, memory
 *                        └───────┘ ◀── everything, once, at the start ─────────────── └──────┘
 *
 * Every change is synchronous: nothing falls between two halves of it. The disk gets whole states, one after the other: a batch holds all
 * that has changed up to one moment, so what a killed page leaves is the state at some moment, and not before the last `durable` that was
 * awaited. Whoever sends a mutation awaits it first: a number that reached the server must never be given twice.
 *
 * Invariant: a mutation that was appended is in `mutations` until it is settled, under the same key, bytes and (once given) number.
 */
import { decodeOperation } from "./codec";
import { pack, unpack, type Packed } from "./msgpack";
import { Code, type Change, type Fields, type Raw } from "./protocol";
import { Outcome, readFields, readOutcome, upcast, writeFields } from "./records";

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

/** A committed mutation, kept for a while in case the database is restored to a time before it. `echo`: the record's version that holds what
 *  it wrote, while that may not have come as an event; otherwise 0. */
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

/** A record as the server last told it. */
export interface Confirmed {
  readonly stream: number;
  readonly entity: number;
  readonly key: number;
  readonly version: number;
  readonly fields: Fields;
  readonly gone: boolean;
}

/** A snapshot of a stream that is under way: the head it began with, and the last record that arrived. */
export interface SnapshotMark {
  readonly stream: number;
  readonly head: number;
  readonly entity: number;
  readonly key: number;
}

const SETTLED_MAX = 4096;
const SETTLED_S = 30 * 86_400;
const SETTLED_LEAST = 256;
const UNAPPLIED_MAX = 10_000;
const RECORD_BYTES = 24;

interface Held extends Confirmed {
  readonly serial: number;
  readonly bytes: number;
}

interface Mark extends SnapshotMark {
  readonly serial: number;
}

type Row = () => Packed;

/** The Change that these frozen bytes are; null for another operation. */
export function readChange(operation: Raw): Change | null {
  if (operation[1] !== 18) return null;
  try {
    return decodeOperation(operation) as Change;
  } catch {
    return null;
  }
}

function writtenVersion(value: number): number {
  const { outcome, n } = readOutcome(value);
  return outcome <= Outcome.MERGED ? n : 0;
}

export class Store {
  device = 0;
  epoch = 0;
  /** The highest number that was ever given under this device. */
  lastNumber = 0;
  readonly cursors = new Map<number, number>();
  readonly mutations = new Map<number, Kept>();
  readonly settled = new Map<number, Settled>();
  readonly snapshots = new Map<number, Mark>();
  private readonly failures = new Map<number, Unapplied>();
  private readonly notes = new Map<string, Packed>();
  /** The names of all notes that are on the disk, or will be. */
  private readonly written = new Set<string>();
  private readonly held = new Map<number, Map<string, Held>>();
  private nextKey = 1;
  private serial = 0;
  private dirty = new Map<string, Row | null>();
  private writing: Promise<void> | undefined;
  /** Told when the disk refuses a batch; true: something was given up, and it is tried again. */
  onTrouble: (error: unknown) => boolean = () => false;

  private constructor(private readonly disk: Disk) {}

  /** Opens the store on a disk. Rejected with what the disk says. */
  static async open(disk: Disk): Promise<Store> {
    const store = new Store(disk);
    for (const [name, bytes] of await disk.load()) store.take(name, unpack(bytes));
    return store;
  }

  private take(name: string, row: Packed): void {
    const [kind, first = "", second, third] = name.split("/");
    const list = row as any[];
    const id = Number(first);
    if (kind === "f") [this.device, this.epoch, this.lastNumber, this.nextKey, this.serial] = list as [number, number, number, number, number];
    else if (kind === "c") this.cursors.set(id, row as number);
    else if (kind === "m") this.mutations.set(id, { key: id, operation: list[0], number: list[1], nonce: list[2] });
    else if (kind === "s") this.settled.set(id, { key: id, operation: list[0], number: list[1], echo: list[2], at: list[3] });
    else if (kind === "u") this.failures.set(id, { key: id, operation: list[0], code: list[1], detail: list[2], at: list[3] });
    else if (kind === "p") this.snapshots.set(id, { stream: id, head: list[0], entity: list[1], key: list[2], serial: list[3] });
    else if (kind === "n") {
      this.notes.set(name.slice(2), row);
      this.written.add(name.slice(2));
    }
    else if (kind === "r") {
      const [version, raw, gone, serial] = list as [number, Raw, boolean, number];
      const entity = Number(second);
      this.hold({ stream: id, entity, key: Number(third), version, fields: upcast(entity, readFields(raw)), gone, serial, bytes: raw.length });
    }
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
      this.writing = undefined;
      if (!this.onTrouble(error)) throw error;
      return;
    }
    this.writing = undefined;
    if (this.dirty.size) this.begin();
  }

  private begin(): void {
    // Whoever awaits `durable` hears of a failure; the next change tries again.
    if (!this.writing) (this.writing = this.flush()).catch(() => undefined);
  }

  private put(name: string, row: Row | null): void {
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

  private putFacts(): void {
    this.put("f", () => [this.device, this.epoch, this.lastNumber, this.nextKey, this.serial]);
  }

  // Whose it is

  /** Makes the store this device's. Of what was numbered under another one nobody can say what became of it: asked for again it might take
   *  effect twice, so it is listed as refused, for the person to look at. */
  bind(device: number, at: number): void {
    if (this.device === device) return;
    const orphans = this.device ? [...this.mutations.values()].filter((kept) => kept.number) : [];
    this.settle(
      orphans.map(({ key }) => ({ key, code: Code.NUMBER_REUSED, value: 0, detail: "sent as another device; look whether it is there" })),
      at,
    );
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
      for (const stream of this.snapshots.keys()) this.put(`p/${stream}`, null);
      this.cursors.clear();
      this.snapshots.clear();
      for (const kept of this.settled.values()) if (kept.echo) this.putSettled({ ...kept, echo: 0 });
    }
    this.epoch = epoch;
    this.putFacts();
  }

  /** Forgets everything: what is kept is one person's. */
  clear(): void {
    const rows = [...this.rowNames(), ...this.dirty.keys()];
    for (const map of [this.cursors, this.mutations, this.settled, this.snapshots, this.failures, this.notes, this.held]) map.clear();
    this.device = this.epoch = this.lastNumber = this.serial = 0;
    for (const name of rows) this.put(name, null);
    this.putFacts();
  }

  private *rowNames(): Iterable<string> {
    const maps = { c: this.cursors, m: this.mutations, s: this.settled, u: this.failures, p: this.snapshots, n: this.written };
    for (const [kind, map] of Object.entries(maps)) for (const key of map.keys()) yield `${kind}/${key}`;
    for (const held of this.held.values()) for (const one of held.values()) yield rowOf(one);
  }

  // Mutations

  /** Keeps a mutation; its key. */
  append(operation: Raw, nonce: string): number {
    const kept = { key: this.nextKey++, operation, number: 0, nonce };
    this.putFacts();
    this.keep(kept);
    return kept.key;
  }

  private keep(kept: Kept): void {
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
      if (code === 0) this.putSettled({ key, operation, number, echo: readChange(operation) ? writtenVersion(value) : 0, at });
      else {
        this.failures.set(key, { key, operation, code, detail, at });
        this.put(`u/${key}`, () => [operation, code, detail, at]);
      }
    }
    this.prune(at);
  }

  private putSettled(kept: Settled): void {
    this.settled.set(kept.key, kept);
    this.put(`s/${kept.key}`, () => [kept.operation, kept.number, kept.echo, kept.at]);
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

  /** Settled mutations that a restored database has forgotten are open again: under their keys, without numbers. */
  askAgain(keys: readonly number[]): void {
    for (const key of keys) {
      const kept = this.settled.get(key)!;
      this.settled.delete(key);
      this.put(`s/${key}`, null);
      this.keep({ key, operation: kept.operation, number: 0, nonce: "" });
    }
  }

  /** Gives mutations that no server has decided other bytes and no number. */
  freezeAgain(changes: readonly (readonly [number, Raw])[]): void {
    for (const [key, operation] of changes) this.keep({ ...this.mutations.get(key)!, operation, number: 0 });
  }

  // Streams and records

  /** Everything in a stream up to `seq` is worked through. */
  advance(stream: number, seq: number): void {
    if ((this.cursors.get(stream) ?? -1) < seq) this.setCursor(stream, seq);
  }

  private setCursor(stream: number, seq: number): void {
    this.cursors.set(stream, seq);
    this.put(`c/${stream}`, () => seq);
  }

  /** Drops a stream's cursor, its records, and its snapshot if one is under way. */
  forget(stream: number): void {
    if (this.cursors.delete(stream)) this.put(`c/${stream}`, null);
    this.dropMark(stream);
    for (const one of this.held.get(stream)?.values() ?? []) this.put(rowOf(one), null);
    this.held.delete(stream);
    this.voidEchoes(stream);
  }

  private dropMark(stream: number): void {
    if (this.snapshots.delete(stream)) this.put(`p/${stream}`, null);
  }

  private voidEchoes(stream: number): void {
    for (const kept of this.settled.values()) {
      if (kept.echo && readChange(kept.operation)?.stream === stream) this.putSettled({ ...kept, echo: 0 });
    }
  }

  /** An event of a record stream: writes what is newer than what is held, fields over fields, and moves the cursor. */
  apply(stream: number, upto: number, records: readonly Confirmed[]): void {
    for (const record of records) {
      const held = this.find(stream, record.entity, record.key);
      // What a snapshot has not brought yet stays so: it comes again after its head.
      if (!held) this.write(record, 0);
      else if (held.version < record.version) this.write({ ...record, fields: new Map([...held.fields, ...record.fields]) }, held.serial);
    }
    this.advance(stream, upto);
  }

  /** A page of a snapshot: whole records. After the last one what no page brought is gone, and the cursor is the head. */
  applyPage(mark: SnapshotMark, records: readonly Confirmed[], more: boolean): void {
    const { stream } = mark;
    const before = this.snapshots.get(stream);
    if (!before) {
      this.serial++;
      this.putFacts();
    }
    const { head, serial } = before ?? { head: mark.head, serial: this.serial };
    for (const record of records) this.write(record, serial);
    if (more) {
      this.snapshots.set(stream, { ...mark, head, serial });
      this.put(`p/${stream}`, () => [head, mark.entity, mark.key, serial]);
      return;
    }
    this.dropMark(stream);
    for (const one of this.held.get(stream)?.values() ?? []) if (one.serial !== serial) this.drop(one);
    this.voidEchoes(stream);
    this.setCursor(stream, head);
  }

  private write(record: Confirmed, serial: number): void {
    const fields: Fields = record.gone ? new Map() : upcast(record.entity, record.fields);
    const raw = writeFields(fields);
    const held = { ...record, fields, serial, bytes: raw.length };
    this.hold(held);
    this.put(rowOf(held), () => [held.version, raw, held.gone, serial]);
  }

  private hold(held: Held): void {
    let stream = this.held.get(held.stream);
    if (!stream) this.held.set(held.stream, (stream = new Map()));
    stream.set(`${held.entity}/${held.key}`, held);
  }

  private drop(held: Held): void {
    this.held.get(held.stream)?.delete(`${held.entity}/${held.key}`);
    this.put(rowOf(held), null);
  }

  private find(stream: number, entity: number, key: number): Held | undefined {
    return this.held.get(stream)?.get(`${entity}/${key}`);
  }

  record(stream: number, entity: number, key: number): Confirmed | undefined {
    return this.find(stream, entity, key);
  }

  /** A stream's records of one entity, by key, without deleted ones. */
  records(stream: number, entity: number): Confirmed[] {
    const found = [...(this.held.get(stream)?.values() ?? [])].filter((one) => one.entity === entity && !one.gone);
    return found.sort((a, b) => a.key - b.key);
  }

  /** About how many bytes each stream's records take. */
  sizes(): Map<number, number> {
    const sizes = new Map<number, number>();
    for (const [stream, held] of this.held) {
      let bytes = 0;
      for (const one of held.values()) bytes += one.bytes + RECORD_BYTES;
      if (bytes) sizes.set(stream, bytes);
    }
    return sizes;
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

function rowOf(record: Confirmed): string {
  return `r/${record.stream}/${record.entity}/${record.key}`;
}
