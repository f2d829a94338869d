/**
 * The table of entities as a client needs it: what a record's fields may hold, how older ones are read, what is seen of a record.
 *
 * As protocol/entities.py and the overlay of client/replica.py; tests/vectors/sync.json says so.
 *
 * Invariant: `upcast` of what any schema wrote gives fields of the present one, and again the same.
 */
import { BadFields } from "./errors";
import { pack, unpack, type Packed } from "./msgpack";
import { FIELDS_MAX, LIST_MAX, type Fields, type Raw, type Value } from "./protocol";
import { ENTITIES } from "./wire_entities";

export type Rule = "advance" | "latest" | "attempts" | "server" | "manual";

export interface Field {
  readonly number: number;
  readonly name: string;
  /** i…: whole numbers from, to; s…: text of at most; b: yes or no; a…: a list of at most, of a kind. */
  readonly kind: string;
  /** Silently the latest, never a conflict. */
  readonly housekeeping: boolean;
  /** A newer schema has others in its place. */
  readonly replaced: boolean;
}

export interface Declaration {
  readonly entity: number;
  readonly name: string;
  readonly rule: Rule;
  /** The kind of stream that holds it. */
  readonly stream: number;
  readonly deletable: boolean;
  readonly single: boolean;
  readonly fields: ReadonlyMap<number, Field>;
}

export const PROGRESS = 1;
export const PERCENT = 1;
export const GENERATION = 2;
export const NO_FIELDS: Raw = /* @__PURE__ */ Uint8Array.of(0x80);

let read: ReadonlyMap<number, Declaration> | undefined;

/** Every entity by its number. */
export function entities(): ReadonlyMap<number, Declaration> {
  return (read ??= new Map(
    ENTITIES.trim()
      .split("\n")
      .map((line) => {
        const [entity, name = "", rule, stream, marks = "", ...fields] = line.split(" ");
        const declaration: Declaration = {
          entity: Number(entity),
          name,
          rule: rule as Rule,
          stream: Number(stream),
          deletable: marks.includes("d"),
          single: marks.includes("s"),
          fields: new Map(fields.map(readField)),
        };
        return [declaration.entity, declaration];
      }),
  ));
}

function readField(words: string): [number, Field] {
  const [number, name = "", kind = ""] = words.split(":");
  const end = kind.lastIndexOf(",") + 1;
  const marks = kind.slice(end);
  return [
    Number(number),
    { number: Number(number), name, kind: kind.slice(0, end), housekeeping: marks.includes("h"), replaced: marks.includes("u") },
  ];
}

/** Fields as they were sent, of whatever schema; unchecked. Throws `BadFields` for what is no map of fields. */
export function readFields(raw: Raw): Fields {
  let fields: Packed;
  try {
    fields = unpack(raw);
  } catch (error) {
    throw new BadFields(`fields: ${(error as Error).message}`);
  }
  if (!(fields instanceof Map) || fields.size > FIELDS_MAX) throw new BadFields("fields: a map from field number to value");
  for (const [number, value] of fields) {
    const fits = Array.isArray(value) ? value.length <= LIST_MAX && value.every(isPlain) : isPlain(value) || typeof value === "boolean";
    if (!Number.isInteger(number) || !fits) throw new BadFields("fields: a map from field number to value");
  }
  return fields as Fields;
}

function isPlain(value: unknown): boolean {
  return typeof value === "string" || Number.isInteger(value) || typeof value === "bigint";
}

/** The bytes of fields: ascending numbers, so that equal fields have equal bytes. */
export function writeFields(fields: Fields): Raw {
  return fields.size ? pack(new Map([...fields].sort(([a], [b]) => a - b)) as Packed) : NO_FIELDS;
}

/** Code points, which is how lengths of text are counted. */
export function points(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

/** What is wrong with a value, in words; empty: nothing. */
function wrong(kind: string, value: Value): string {
  const numbers = kind.slice(1).split(",");
  const [low = 0, high = 0] = numbers.map(Number);
  if (kind[0] === "i") return typeof value === "number" && value >= low && value <= high ? "" : `a whole number from ${low} to ${high}`;
  if (kind[0] === "s") {
    if (typeof value !== "string" || points(value) > low) return `text of at most ${low} characters`;
    return value.includes("\0") ? "text without U+0000" : "";
  }
  if (kind[0] === "b") return typeof value === "boolean" ? "" : "true or false";
  if (!Array.isArray(value) || value.length > low) return `a list of at most ${low}`;
  const of = kind.slice(kind.indexOf(",") + 1);
  const found = value.map((one) => wrong(of, one as Value)).find(Boolean);
  return found ? `a list, each of it ${found}` : "";
}

function checkField(field: Field, value: Value): void {
  const found = wrong(field.kind, value);
  if (found) throw new BadFields(`field ${field.number} (${field.name}): ${found}`);
}

/** A change as it may be sent: checked, its fields brought to the present schema. Throws `BadFields`. */
export function prepare(declaration: Declaration, key: number, fields: Fields, gone: boolean): Fields {
  const { name } = declaration;
  const brought = bringUp(declaration, fields);
  for (const [number, value] of brought) {
    const field = declaration.fields.get(number);
    if (!field || field.replaced) throw new BadFields(`${name} has no field ${number}`);
    checkField(field, value);
  }
  if (gone && !declaration.deletable) throw new BadFields(`${name} cannot be deleted`);
  if (gone === brought.size > 0) throw new BadFields(gone ? "a deletion carries no fields" : "a change carries at least one field, or deletes");
  if (declaration.single && key !== 1) throw new BadFields(`${name} has one record, with key 1`);
  return brought;
}

/** How fields of an older schema become those of `since`, and back. */
export interface Cast {
  readonly entity: number;
  readonly since: number;
  readonly before: readonly number[];
  readonly now: readonly number[];
  up(fields: Fields): [number, Value][];
  down(fields: Fields): [number, Value][];
}

/** In the order of the schemas that brought them. */
export const CASTS: readonly Cast[] = [
  {
    entity: 2,
    since: 2,
    before: [1],
    now: [2],
    up: (fields) => (typeof fields.get(1) === "number" ? [[2, [fields.get(1) as number]]] : []),
    down: (fields) => {
      const choices = fields.get(2);
      return Array.isArray(choices) && choices.length ? [[1, choices[0]]] : [];
    },
  },
  {
    entity: 3,
    since: 3,
    before: [2],
    now: [3],
    up: (fields) => {
      const languages = String(fields.get(2)).split(",");
      return [[3, languages.map((one) => one.trim()).filter(Boolean).slice(0, LIST_MAX)]];
    },
    down: (fields) => {
      const languages = fields.get(3);
      return Array.isArray(languages) ? [[2, [...languages.join(", ")].slice(0, 200).join("")]] : [];
    },
  },
  {
    entity: 4,
    since: 4,
    before: [3],
    now: [4, 5],
    up: (fields) => {
      const text = fields.get(3);
      if (text === "") return [[4, 0], [5, 0]];
      const found = /^(\d+)-(\d+)$/.exec(String(text));
      return found ? [[4, (Number(found[1]) % 24) * 60], [5, (Number(found[2]) % 24) * 60]] : [];
    },
    down: (fields) => {
      const [begin, end] = [fields.get(4), fields.get(5)];
      if (typeof begin !== "number" || typeof end !== "number") return [];
      const hour = (minutes: number) => String(Math.floor(minutes / 60)).padStart(2, "0");
      return [[3, begin === end ? "" : `${hour(begin)}-${hour(end)}`]];
    },
  },
];

/** Fields of any schema as the present one has them. What is present already wins over what an older field would become. */
export function upcast(entity: number, fields: Fields): Fields {
  for (const cast of CASTS) {
    if (cast.entity !== entity || !cast.before.some((number) => fields.has(number))) continue;
    fields = new Map([...cast.up(fields), ...[...fields].filter(([number]) => !cast.before.includes(number))]);
  }
  return fields;
}

/** `upcast` of what somebody writes. Throws `BadFields` where an older field is out of its bounds, or means nothing any more. */
export function bringUp(declaration: Declaration, fields: Fields): Fields {
  const old = [...fields.keys()].filter((number) => declaration.fields.get(number)?.replaced);
  if (!old.length) return fields;
  for (const number of old) checkField(declaration.fields.get(number)!, fields.get(number)!);
  const brought = upcast(declaration.entity, fields);
  for (const cast of CASTS) {
    const applies = cast.entity === declaration.entity && cast.before.some((number) => old.includes(number));
    if (applies && !cast.now.every((number) => brought.has(number))) throw new BadFields(`field ${cast.before[0]}: cannot be read in schema ${cast.since}`);
  }
  return brought;
}

/** What of a change to progress can be true: never lower within a generation, nothing of an earlier one. */
export function advanced(present: Fields, written: Fields): Fields {
  const number = (fields: Fields, field: number, none: number) => (fields.get(field) as number | undefined) ?? none;
  const generation = number(present, GENERATION, 0);
  const mine = number(written, GENERATION, 0);
  const percent = written.get(PERCENT);
  const rest = new Map([...written].filter(([field]) => field !== PERCENT && field !== GENERATION));
  if (typeof percent !== "number" || mine < generation || (mine === generation && percent <= number(present, PERCENT, -1))) return rest;
  rest.set(PERCENT, percent);
  if (mine) rest.set(GENERATION, mine);
  return rest;
}

/** What became of a change: the value of its `Done` is n * 8 + outcome. */
export const Outcome = { APPLIED: 0, DUPLICATE: 1, MERGED: 2, SUPERSEDED: 3, REVIEW: 4 } as const;

/** Outcome and n. What a newer server says is read as `REVIEW`: look at it. */
export function readOutcome(value: number): { outcome: number; n: number } {
  return { outcome: Math.min(value % 8, Outcome.REVIEW), n: Math.floor(value / 8) };
}
