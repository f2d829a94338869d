/**
 * The local view of records: what the server confirmed, and over it what this device has asked for.
 *
 *     Changed, RecordPage ─hear─▶ store (confirmed) ─┐
 *     appended, settled ─▶ pending, echoes ──────────┴─▶ view, list
 *
 * A change is seen at once, also offline, and stays seen while it is on its way: until its outcome, and, where the outcome says that it was
 * written as the record's version n, until version n has come as an event (an *echo*). No rule of merging is asked here: one's own change
 * wins until the server has spoken. As client/replica.py.
 *
 * Invariant: a view is `overlay` of the store's record and of the Changes in order of their keys; nothing else is remembered of a record.
 */
import type { RecordView } from "./api";
import { BadFields, ServerFault } from "./errors";
import type { Change, Changed, Fields, RecordItem, RecordPage, Raw } from "./protocol";
import type { Overlay } from "./mutations";
import { advanced, entities, GENERATION, PERCENT, prepare, PROGRESS, readFields, upcast, writeFields } from "./records";
import { readChange, type Confirmed, type RecordStore, type SnapshotMark } from "./record_store";
import type { Store } from "./store";

/** A Change of this device in the view. `echo`: the version as which it was written; 0 while it has no outcome. */
interface Ours {
  readonly key: number;
  readonly change: Change;
  readonly echo: number;
}

const EMPTY: Fields = /* @__PURE__ */ new Map();

export class Replica implements Overlay {
  private readonly ours = new Map<string, Map<number, Ours>>();
  private readonly names = new Map<number, string>();
  /** Told the stream whose records may be seen otherwise now. */
  changed: (stream: number) => void = () => undefined;

  constructor(
    private readonly store: Store,
    private readonly records: RecordStore,
  ) {
    this.reload();
  }

  /** Reads mutations and echoes from the store again; every stream may have changed. */
  reload(): void {
    const streams = new Set(this.ours.size ? [...this.ours.values()].map((ours) => [...ours.values()][0]!.change.stream) : []);
    this.ours.clear();
    this.names.clear();
    for (const kept of this.store.settled.values()) {
      const change = kept.echo ? readChange(kept.operation) : null;
      if (change && (this.confirmed(change)?.version ?? 0) < kept.echo) this.put({ key: kept.key, change, echo: kept.echo });
    }
    for (const kept of this.store.mutations.values()) this.appended(kept.key, kept.operation);
    for (const stream of new Set([...streams, ...this.records.sizes().keys()])) this.changed(stream);
  }

  /** One record; an empty view of version 0 if nobody knows of it. */
  view(stream: number, entity: number, key: number): RecordView {
    const confirmed = this.records.record(stream, entity, key) ?? { stream, entity, key, version: 0, fields: EMPTY, gone: false };
    return overlay(confirmed, this.of(nameOf(stream, entity, key)));
  }

  /** A stream's records of one entity, by key, without deleted ones. */
  list(stream: number, entity: number): RecordView[] {
    const keys = new Set(this.records.records(stream, entity).map((one) => one.key));
    for (const ours of this.ours.values()) {
      for (const { change } of ours.values()) if (change.stream === stream && change.entity === entity) keys.add(change.key);
    }
    const views = [...keys].sort((a, b) => a - b).map((key) => this.view(stream, entity, key));
    return views.filter((view) => !view.gone && (view.version > 0 || view.fields.size > 0));
  }

  /** A Change to be submitted, based on what is confirmed here, or on what its writer had (`known`: that version). `at`: Unix seconds by this
   *  device's clock. Throws `BadFields`. */
  change(stream: number, entity: number, key: number, fields: Fields, gone: boolean, at: number, known?: number): Change {
    const declaration = entities().get(entity);
    if (!declaration) throw new BadFields(`there is no entity ${entity}`);
    let chosen = prepare(declaration, key, fields, gone);
    if (entity === PROGRESS && chosen.has(PERCENT) && !chosen.has(GENERATION)) {
      const generation = this.view(stream, entity, key).fields.get(GENERATION);
      if (generation) chosen = new Map([...chosen, [GENERATION, generation]]);
    }
    const here = this.records.record(stream, entity, key)?.version ?? 0;
    const base = Math.min(here, known ?? here);
    return { type: "Change", stream, entity, key, at, fields: writeFields(chosen), base, gone };
  }

  /** The streams that have changes without an outcome. */
  pendingStreams(): Set<number> {
    const streams = new Set<number>();
    for (const ours of this.ours.values()) for (const one of ours.values()) if (!one.echo) streams.add(one.change.stream);
    return streams;
  }

  // What becomes of our mutations

  appended(key: number, operation: Raw): void {
    const change = readChange(operation);
    if (change) this.put({ key, change, echo: 0 });
  }

  /** A mutation has its outcome. Written (`version`), it is seen until it comes as an event; otherwise what the server has is seen at once. */
  settled(key: number, version: number): void {
    const name = this.names.get(key);
    const ours = name === undefined ? undefined : this.ours.get(name)?.get(key);
    if (!ours) return;
    this.drop(key);
    if (version > (this.confirmed(ours.change)?.version ?? 0)) this.put({ ...ours, echo: version });
  }

  // What the server says

  /** An event of a record stream, in its order: kept together with the cursor. Throws `ServerFault` for what is no record. */
  hear(stream: number, seq: number, changed: Changed | undefined): void {
    const records = confirmedOf(stream, changed?.records ?? []);
    this.records.apply(stream, seq, records);
    this.heard(stream, records);
  }

  /** A page of a snapshot, in order; true: it was the last, and the stream is followed from its head. */
  hearPage(page: RecordPage): boolean {
    const before = this.records.snapshots.get(page.stream);
    const last = page.records.at(-1) ?? before;
    const mark: SnapshotMark = { stream: page.stream, head: before?.head ?? page.head, entity: last?.entity ?? 0, key: last?.key ?? 0 };
    const records = confirmedOf(page.stream, page.records);
    this.records.applyPage(mark, records, page.more);
    this.heard(page.stream, records);
    if (!page.more) this.void(page.stream);
    return !page.more;
  }

  /** Drops a stream: cursor, records, snapshot. Changes without an outcome stay in the store, and in view. */
  forget(stream: number): void {
    this.records.forget(stream);
    this.void(stream);
  }

  private heard(stream: number, records: readonly Confirmed[]): void {
    for (const record of records) {
      for (const one of this.of(nameOf(stream, record.entity, record.key))) if (one.echo && one.echo <= record.version) this.drop(one.key);
    }
    this.changed(stream);
  }

  /** What a stream held is replaced: an echo that has not come by now never will. */
  private void(stream: number): void {
    for (const ours of [...this.ours.values()]) {
      for (const one of [...ours.values()]) if (one.echo && one.change.stream === stream) this.drop(one.key);
    }
    this.changed(stream);
  }

  private confirmed({ stream, entity, key }: Change): Confirmed | undefined {
    return this.records.record(stream, entity, key);
  }

  private of(name: string): Ours[] {
    return [...(this.ours.get(name)?.values() ?? [])].sort((a, b) => a.key - b.key);
  }

  private put(one: Ours): void {
    const name = nameOf(one.change.stream, one.change.entity, one.change.key);
    let ours = this.ours.get(name);
    if (!ours) this.ours.set(name, (ours = new Map()));
    ours.set(one.key, one);
    this.names.set(one.key, name);
    this.changed(one.change.stream);
  }

  private drop(key: number): void {
    const name = this.names.get(key)!;
    const ours = this.ours.get(name)!;
    const { stream } = ours.get(key)!.change;
    this.names.delete(key);
    ours.delete(key);
    if (!ours.size) this.ours.delete(name);
    this.changed(stream);
  }
}

/** What is seen of a record. Pure. Later changes lie over earlier ones; progress shows the most of its generation. */
export function overlay(confirmed: Confirmed, ours: readonly Ours[]): RecordView {
  const { stream, entity, key, version } = confirmed;
  let { fields, gone } = confirmed;
  for (const { change } of ours) {
    if (change.gone) {
      gone = true;
      continue;
    }
    let written = upcast(entity, readFields(change.fields!));
    if (entity === PROGRESS) written = advanced(fields, written);
    if (written.size) {
      fields = new Map([...fields, ...written]);
      gone = false;
    }
  }
  const pending = ours.filter((one) => !one.echo).length;
  return { stream, entity, key, version, fields: gone ? EMPTY : fields, gone, pending };
}

function nameOf(stream: number, entity: number, key: number): string {
  return `${stream}/${entity}/${key}`;
}

function confirmedOf(stream: number, items: readonly RecordItem[]): Confirmed[] {
  return items
    .filter((item) => entities().has(item.entity))
    .map(({ entity, key, version, fields, gone }) => {
      try {
        return { stream, entity, key, version, gone, fields: gone ? EMPTY : upcast(entity, readFields(fields)) };
      } catch (error) {
        throw new ServerFault(`record ${key} of entity ${entity} in stream ${stream}: ${(error as Error).message}`);
      }
    });
}
