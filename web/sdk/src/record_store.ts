/**
 * Records as the server last told them, in the rows of the store.
 *
 *     Changed ─apply─▶ ┌──────┐                        RecordPage ─applyPage─▶ a snapshot under way: its mark, then its end
 *                      │ held │ ─ rows ─▶ store, in the same batch as the cursor
 *
 * Invariant: a stream's records and its cursor are of one moment, on the disk as in memory.
 */
import { decodeOperation } from "./codec";
import type { Packed } from "./msgpack";
import type { Change, Fields, Raw } from "./protocol";
import { readFields, upcast, writeFields } from "./records";
import type { Keeper, Store } from "./store";

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

const RECORD_BYTES = 24;

/** One that is here, as bytes: taken apart when it is read, and kept so while somebody looks at its stream. */
class Held implements Confirmed {
  private apart: Fields | undefined;

  constructor(
    readonly stream: number,
    readonly entity: number,
    readonly key: number,
    readonly version: number,
    readonly gone: boolean,
    readonly serial: number,
    readonly raw: Raw,
    private readonly looked: ReadonlySet<number>,
  ) {}

  get fields(): Fields {
    if (this.apart) return this.apart;
    const fields = upcast(this.entity, readFields(this.raw));
    if (this.looked.has(this.stream)) this.apart = fields;
    return fields;
  }

  /** Nobody looks any more. */
  rest(): void {
    this.apart = undefined;
  }
}

interface Mark extends SnapshotMark {
  readonly serial: number;
}

/** The Change that these frozen bytes are; null for another operation. */
export function readChange(operation: Raw): Change | null {
  if (operation[1] !== 18) return null;
  try {
    return decodeOperation(operation) as Change;
  } catch {
    return null;
  }
}

export class RecordStore implements Keeper {
  readonly snapshots = new Map<number, Mark>();
  private readonly held = new Map<number, Map<string, Held>>();
  private readonly looked = new Set<number>();

  constructor(private readonly store: Store) {
    for (const [name, row] of store.claim(this)) this.load(name, row);
  }

  private load(name: string, row: Packed): void {
    const [kind, first, second, third] = name.split("/");
    const stream = Number(first);
    if (kind === "p") {
      const [head, entity, key, serial] = row as [number, number, number, number];
      this.snapshots.set(stream, { stream, head, entity, key, serial });
    } else if (kind === "r") {
      const [version, raw, gone, serial] = row as [number, Raw, boolean, number];
      this.hold(new Held(stream, Number(second), Number(third), version, gone, serial, raw, this.looked));
    }
  }

  // For the store

  *names(): Iterable<string> {
    for (const stream of this.snapshots.keys()) yield `p/${stream}`;
    for (const held of this.held.values()) for (const one of held.values()) yield rowOf(one);
  }

  clear(epoch: boolean): void {
    for (const stream of [...this.snapshots.keys()]) this.dropMark(stream);
    if (!epoch) this.held.clear();
  }

  // What comes

  /** Drops a stream's cursor, its records, and its snapshot if one is under way. */
  forget(stream: number): void {
    this.store.dropCursor(stream);
    this.dropMark(stream);
    for (const one of this.held.get(stream)?.values() ?? []) this.store.put(rowOf(one), null);
    this.held.delete(stream);
    this.voidEchoes(stream);
  }

  private dropMark(stream: number): void {
    if (this.snapshots.delete(stream)) this.store.put(`p/${stream}`, null);
  }

  private voidEchoes(stream: number): void {
    for (const kept of this.store.settled.values()) {
      if (kept.echo && readChange(kept.operation)?.stream === stream) this.store.putSettled({ ...kept, echo: 0 });
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
    this.store.advance(stream, upto);
  }

  /** A page of a snapshot: whole records. After the last one what no page brought is gone, and the cursor is the head. */
  applyPage(mark: SnapshotMark, records: readonly Confirmed[], more: boolean): void {
    const { stream } = mark;
    const before = this.snapshots.get(stream);
    if (!before) {
      this.store.serial++;
      this.store.putFacts();
    }
    const { head, serial } = before ?? { head: mark.head, serial: this.store.serial };
    for (const record of records) this.write(record, serial);
    if (more) {
      this.snapshots.set(stream, { ...mark, head, serial });
      this.store.put(`p/${stream}`, () => [head, mark.entity, mark.key, serial]);
      return;
    }
    this.dropMark(stream);
    for (const one of this.held.get(stream)?.values() ?? []) if (one.serial !== serial) this.drop(one);
    this.voidEchoes(stream);
    this.store.setCursor(stream, head);
  }

  private write(record: Confirmed, serial: number): void {
    const fields: Fields = record.gone ? new Map() : upcast(record.entity, record.fields);
    const raw = writeFields(fields);
    const { stream, entity, key, version, gone } = record;
    const held = new Held(stream, entity, key, version, gone, serial, raw, this.looked);
    this.hold(held);
    this.store.put(rowOf(held), () => [version, raw, gone, serial]);
  }

  private hold(held: Held): void {
    let stream = this.held.get(held.stream);
    if (!stream) this.held.set(held.stream, (stream = new Map()));
    stream.set(`${held.entity}/${held.key}`, held);
  }

  private drop(held: Held): void {
    this.held.get(held.stream)?.delete(`${held.entity}/${held.key}`);
    this.store.put(rowOf(held), null);
  }

  private find(stream: number, entity: number, key: number): Held | undefined {
    return this.held.get(stream)?.get(`${entity}/${key}`);
  }

  // What is there

  /** Whether somebody looks at a stream: then what was read of it stays as it was read, otherwise it is bytes again. */
  look(stream: number, on: boolean): void {
    if (on) this.looked.add(stream);
    else if (this.looked.delete(stream)) for (const one of this.held.get(stream)?.values() ?? []) one.rest();
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
      for (const one of held.values()) bytes += one.raw.length + RECORD_BYTES;
      if (bytes) sizes.set(stream, bytes);
    }
    return sizes;
  }
}

function rowOf(record: Confirmed): string {
  return `r/${record.stream}/${record.entity}/${record.key}`;
}
