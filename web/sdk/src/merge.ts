/**
 * What becomes of a change: the rules of the table, as one pure function. For whoever shows ahead what the server will decide.
 *
 *     record, change, stamp ─merge─▶ Verdict: outcome, the record after it, what lost
 *
 * Base before clocks: a field that has not changed since the version that the writer knew is simply written. As protocol/merge.py and
 * protocol/conflicts.py; tests/vectors/sync.json says so. A client decides nothing by it: the server does.
 *
 * Invariant: a value that loses is in `theirs` or `mine`, or its change is kept as an attempt; progress never falls within a generation.
 */
import { BadFields } from "./errors";
import type { Fields, Value } from "./protocol";
import { bringUp, CASTS, entities, GENERATION, Outcome, PERCENT, upcast, type Declaration } from "./records";

/** Stands among a record's cells for its being deleted. */
const GONE = 0;

/** When a value was written: bounded Unix seconds, then device and number, so that two are never equal. */
export type Stamp = readonly [at: number, device: number, number: number];

export interface Cell {
  readonly value: Value;
  readonly version: number;
  readonly stamp: Stamp;
}

/** A record as the server holds it. */
export interface Stored {
  readonly version: number;
  readonly cells: ReadonlyMap<number, Cell>;
}

export interface Written {
  readonly base: number;
  readonly fields: Fields;
  readonly gone: boolean;
}

/** What becomes of a change. `theirs` and `mine`: values that lost on either side. */
export interface Verdict {
  readonly outcome: number;
  readonly record: Stored;
  readonly theirs: Fields;
  readonly mine: Fields;
  readonly conflict: boolean;
  readonly attempt: boolean;
}

type Cells = ReadonlyMap<number, Cell>;
const NONE: Fields = new Map();

/** Decides. Throws `BadFields` for what only the record shows to be wrong. */
export function merge(entity: number, record: Stored, change: Written, stamp: Stamp): Verdict {
  const declaration = entities().get(entity);
  if (!declaration) throw new BadFields(`there is no entity ${entity}`);
  const fields = bringUp(declaration, change.fields);
  // What is based on a version that is not there knew something else than what stands here.
  return new Merging(declaration, record, { ...change, fields, base: change.base > record.version ? 0 : change.base }, stamp).decide();
}

/** Whether a record is deleted, and not written since. */
export function isGone(record: Stored): boolean {
  return record.cells.get(GONE)?.value === true;
}

/** What a reader sees of a record. */
export function fieldsOf(record: Stored): Map<number, Value> {
  return new Map([...record.cells].filter(([number]) => number !== GONE).map(([number, cell]) => [number, cell.value]));
}

function isBefore(one: Stamp, other: Stamp): boolean {
  const place = [0, 1, 2].find((at) => one[at] !== other[at]);
  return place !== undefined && one[place]! < other[place]!;
}

function isSame(one: Value, other: Value): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

class Merging {
  constructor(
    private readonly declaration: Declaration,
    private readonly record: Stored,
    private readonly change: Written,
    private readonly stamp: Stamp,
  ) {}

  decide(): Verdict {
    const { rule } = this.declaration;
    if (rule === "advance") return this.advance();
    if (rule === "server" || rule === "manual") return this.writeFirst();
    return this.change.gone ? this.deleteLatest() : this.writeLatest();
  }

  private get cells(): Cells {
    return this.record.cells;
  }

  private housekeeping(number: number): boolean {
    return this.declaration.fields.get(number)?.housekeeping ?? false;
  }

  /** Whether the writer knew this cell: by version, or because it was this device that wrote it before. */
  private knows(cell: Cell): boolean {
    return cell.version <= this.change.base || (cell.stamp[1] === this.stamp[1] && cell.stamp[2] < this.stamp[2]);
  }

  private verdict(outcome: number, more: Partial<Verdict> = {}): Verdict {
    return { outcome, record: this.record, theirs: NONE, mine: NONE, conflict: false, attempt: false, ...more };
  }

  private write(values: Fields): Stored {
    if (!values.size) return this.record;
    const version = this.record.version + 1;
    const { stamp } = this;
    return { version, cells: new Map([...this.cells, ...[...values].map(([number, value]) => [number, { value, version, stamp }] as const)]) };
  }

  /** What a deletion's writer did not know: all but housekeeping. */
  private unseen(): [number, Cell][] {
    return [...this.cells].filter(([number, cell]) => !this.housekeeping(number) && !this.knows(cell));
  }

  /** Whether other fields were written that the writer did not know of. */
  private isElsewhere(): boolean {
    return this.record.version > this.change.base && this.unseen().some(([number]) => number !== GONE && !this.change.fields.has(number));
  }

  private keepsHouse(number: number, value: Value): boolean {
    const cell = this.cells.get(number);
    return !cell || (!isSame(cell.value, value) && (this.knows(cell) || isBefore(cell.stamp, this.stamp)));
  }

  /** Field by field: what the writer knew gives way; of the rest, the later one stays. */
  private writeLatest(): Verdict {
    const attempt = this.declaration.rule === "attempts";
    const written = new Map<number, Value>();
    const theirs = new Map<number, Value>();
    let mine = new Map<number, Value>();
    for (const [number, value] of this.change.fields) {
      const cell = this.cells.get(number);
      const isEarlier = cell && isBefore(cell.stamp, this.stamp);
      if (!cell) written.set(number, value);
      else if (isSame(cell.value, value)) {
        if (isEarlier) written.set(number, value); // said again later: nothing earlier may replace it now
      } else if (this.knows(cell)) written.set(number, value);
      else if (isEarlier) {
        written.set(number, value);
        if (!this.housekeeping(number)) theirs.set(number, cell.value);
      } else if (!this.housekeeping(number)) mine.set(number, value);
    }
    const plain = new Map([...this.change.fields].filter(([number]) => !this.housekeeping(number)));
    const wasGone = isGone(this.record);
    if (wasGone && plain.size) {
      const gone = this.cells.get(GONE)!;
      if (this.knows(gone) || isBefore(gone.stamp, this.stamp)) written.set(GONE, false);
      else mine = plain;
    }
    if (!written.size && !mine.size) return this.verdict(Outcome.DUPLICATE, { attempt });
    const staysGone = wasGone && !written.has(GONE);
    const isLost = staysGone || (mine.size > 0 && ![...plain.keys(), GONE].some((number) => written.has(number)));
    const isMerged = theirs.size > 0 || mine.size > 0 || this.isElsewhere();
    const outcome = isLost ? Outcome.SUPERSEDED : isMerged ? Outcome.MERGED : Outcome.APPLIED;
    return this.verdict(outcome, { record: this.write(written), theirs, mine, conflict: !attempt && theirs.size + mine.size > 0, attempt });
  }

  /** A record goes if the deletion is later than all that was written of it unseen. */
  private deleteLatest(): Verdict {
    const gone = this.cells.get(GONE);
    const wasGone = isGone(this.record);
    if (!this.cells.size || (wasGone && !isBefore(gone!.stamp, this.stamp))) return this.verdict(Outcome.DUPLICATE);
    const record = this.write(new Map([[GONE, true]]));
    if (wasGone) return this.verdict(Outcome.APPLIED, { record });
    const unseen = this.unseen();
    if (unseen.some(([, cell]) => !isBefore(cell.stamp, this.stamp))) return this.verdict(Outcome.SUPERSEDED, { conflict: true });
    const theirs = new Map(unseen.filter(([number]) => number !== GONE).map(([number, cell]) => [number, cell.value]));
    return this.verdict(unseen.length ? Outcome.MERGED : Outcome.APPLIED, { record, theirs, conflict: theirs.size > 0 });
  }

  /** What was there first stays: a change that did not know of it is not written, as a whole. */
  private writeFirst(): Verdict {
    const { change, cells } = this;
    const wasGone = isGone(this.record);
    const house = new Map<number, Value>();
    const written = new Map<number, Value>();
    let theirs = new Map<number, Value>();
    let conflict = false;
    if (change.gone) {
      if (wasGone || !cells.size) return this.verdict(Outcome.DUPLICATE);
      const unseen = this.unseen();
      theirs = new Map(unseen.filter(([number]) => number !== GONE).map(([number, cell]) => [number, cell.value]));
      conflict = unseen.length > 0;
      written.set(GONE, true);
    }
    for (const [number, value] of change.fields) {
      const cell = cells.get(number);
      if (this.housekeeping(number)) {
        if (this.keepsHouse(number, value)) house.set(number, value);
      } else if (!cell) written.set(number, value);
      else if (!isSame(cell.value, value) || wasGone) {
        written.set(number, value);
        if (!isSame(cell.value, value) && !this.knows(cell)) {
          theirs.set(number, cell.value);
          conflict = true;
        }
      }
    }
    if (wasGone) {
      if (!written.size) return this.verdict(Outcome.SUPERSEDED);
      conflict ||= !this.knows(cells.get(GONE)!);
      written.set(GONE, false);
    }
    const lost = { mine: change.fields, theirs, conflict: true };
    if (conflict && this.declaration.rule === "manual") return this.verdict(Outcome.REVIEW, lost);
    if (conflict) return this.verdict(Outcome.SUPERSEDED, { record: wasGone ? this.record : this.write(house), ...lost });
    const record = this.write(new Map([...written, ...house]));
    if (record === this.record) return this.verdict(Outcome.DUPLICATE);
    return this.verdict(!change.gone && this.isElsewhere() ? Outcome.MERGED : Outcome.APPLIED, { record });
  }

  private advance(): Verdict {
    const { change, cells } = this;
    const number = (field: number) => (cells.get(field)?.value as number | undefined) ?? 0;
    const generation = number(GENERATION);
    const begun = cells.get(GENERATION);
    const mine = (change.fields.get(GENERATION) as number | undefined) ?? (!begun || this.knows(begun) ? generation : 0);
    if (mine > generation) throw new BadFields(`field ${GENERATION} (generation): only staff begin a new one`);
    const percent = change.fields.get(PERCENT) as number | undefined;
    if (mine < generation && percent !== undefined) {
      return this.verdict(Outcome.SUPERSEDED, { mine: new Map([[PERCENT, percent], [GENERATION, mine]]) });
    }
    const written = new Map([...change.fields].filter(([field, value]) => this.housekeeping(field) && this.keepsHouse(field, value)));
    let outcome: number = written.size ? Outcome.APPLIED : Outcome.DUPLICATE;
    const present = cells.get(PERCENT);
    if (percent !== undefined && (!present || percent > number(PERCENT))) {
      written.set(PERCENT, percent);
      outcome = present && !this.knows(present) ? Outcome.MERGED : Outcome.APPLIED;
    } else if (percent !== undefined && percent !== number(PERCENT)) outcome = Outcome.SUPERSEDED;
    return this.verdict(outcome, { record: this.write(written) });
  }
}

/** Present fields as a client of an older `schema` knows them, as far as casts go: what it does not know at all the server never tells it. */
export function downcast(entity: number, fields: Fields, schema: number): Fields {
  for (const cast of [...CASTS].reverse()) {
    if (cast.entity !== entity || cast.since <= schema || !cast.now.some((number) => fields.has(number))) continue;
    fields = new Map([...[...fields].filter(([number]) => !cast.now.includes(number)), ...cast.down(fields)]);
  }
  return fields;
}

export { upcast };

/** Where a conflict stands after an operation; undefined: it is not legal there. */
export function conflictAfter(state: number, operation: "Claim" | "Resolve" | "Reopen"): number | undefined {
  const isOpen = state === 1 || state === 2;
  if (operation === "Reopen") return state === 3 || state === 4 ? 1 : undefined;
  return isOpen ? (operation === "Claim" ? 2 : 3) : undefined;
}
