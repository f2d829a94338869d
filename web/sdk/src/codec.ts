/**
 * Frames: bytes to messages and back, as the generated table of forms says.
 *
 *     message ─split─▶ frame bytes ─decodeFrame─▶ { type: "Event", stream, seq, … }
 *     { type: "Say", stream, text } ─encode─▶ [tag, stream, text]
 *
 * What a newer server added is passed over: longer arrays, unknown tags (`UnknownFrame`), events of an unknown kind (`UnknownEvent`, whose
 * place in the stream counts all the same). What this client sends is checked by the same table before it is kept. The table is in two pieces:
 * what every session says and hears, and the rest (`rest_of_wire.ts`), which whoever asks for it, follows it or says it has loaded before; to
 * everybody else it is as what a newer server added.
 *
 * Invariant: `decode` takes what lies within the ranges of the table, and throws `BadFrame` for all else.
 */
import { BadFrame } from "./errors";
import { NotMsgpack, Reader, Writer, type Packed } from "./msgpack";
import { BATCH_FRAMES_MAX, Code, type Body, type Command, type Frame, type Operation, type Raw } from "./protocol";
import { FIRST } from "./wire";

/** A frame from a newer server. */
export interface UnknownFrame {
  readonly type: "UnknownFrame";
  readonly tag: number;
}

/** An event's body of a kind from a newer server. */
export interface UnknownBody {
  readonly type: "UnknownBody";
  readonly tag: number;
}

/** An event of a kind from a newer server. */
export interface UnknownEvent {
  readonly type: "UnknownEvent";
  readonly stream: number;
  readonly seq: number;
  readonly author: number;
  readonly at: number;
  /** Its body's. */
  readonly tag: number;
}

export type Heard = Frame | UnknownFrame | UnknownEvent;
type Message = Command | Operation | Frame | Body;
type Values = Record<string, unknown>;

interface Field {
  readonly name: string;
  readonly shape: string;
  /** JSON; empty: nothing of its kind; undefined: the field is required. */
  readonly fallback: string | undefined;
}

interface Form {
  readonly name: string;
  readonly tag: number;
  readonly strict: boolean;
  readonly fields: readonly Field[];
}

/** r records, c commands, o operations, f frames, b bodies. */
type Group = "r" | "c" | "o" | "f" | "b";

interface Table {
  readonly shapes: Map<string, readonly string[]>;
  readonly byName: Map<string, Form>;
  readonly byTag: Readonly<Record<Group, Map<number, Form>>>;
}

let read: Table | undefined;

/** The table: what every session needs is taken apart at its first use. */
function table(): Table {
  if (read) return read;
  read = { shapes: new Map(), byName: new Map(), byTag: { r: new Map(), c: new Map(), o: new Map(), f: new Map(), b: new Map() } };
  learn(FIRST);
  return read;
}

/** Takes in more of the generated table: shapes, an empty line, forms. */
export function learn(text: string): void {
  const { shapes, byName, byTag } = table();
  const [given = "", forms = ""] = text.trim().split("\n\n");
  for (const line of given.split("\n")) {
    const [key = "", ...words] = line.split(" ");
    shapes.set(key, words.flatMap(row));
  }
  for (const line of forms.split("\n")) {
    const [head = "", tag, ...fields] = line.split(" ");
    const strict = head[1] !== "~";
    const form = {
      name: head.slice(strict ? 1 : 2),
      tag: Number(tag),
      strict,
      fields: fields.map((field) => {
        const [, name = "", shape = "", fallback] = /^(\w+):(\w+)(?:=(.*))?$/.exec(field) ?? [];
        return { name, shape, fallback };
      }),
    };
    byName.set(form.name, form);
    byTag[head[0] as Group].set(form.tag, form);
  }
}

/** Numbers without gaps are told by the two ends of their row. */
function row(word: string): string[] {
  const [low, high] = /^\d+-\d+$/.test(word) ? word.split("-").map(Number) : [];
  return high === undefined ? [word] : Array.from({ length: high - low! + 1 }, (_, n) => String(low! + n));
}

/** Whether a message of this type can be read and written now; if not, `learnRest` brings it. */
export function knows(type: string): boolean {
  return table().byName.has(type);
}

// Writing

/** A message's bytes; fields that are left out have their defaults. */
export function encode(message: Message): Uint8Array {
  const writer = new Writer();
  writeMessage(writer, message);
  return writer.take();
}

function writeMessage(writer: Writer, message: Message): void {
  const form = table().byName.get(message.type);
  if (!form) throw new TypeError(`there is no ${message.type}`);
  writer.array(form.fields.length + 1);
  writer.write(form.tag);
  writeFields(writer, form, message as unknown as Values);
}

function writeFields(writer: Writer, form: Form, values: Values): void {
  for (const field of form.fields) {
    const given = values[field.name];
    const value = given === undefined && field.fallback !== undefined ? fallback(field) : given;
    if (value === undefined) throw new TypeError(`${form.name}: ${field.name} is missing`);
    writeValue(writer, field.shape, value);
  }
}

function writeValue(writer: Writer, key: string, value: unknown): void {
  const [kind, low, , of] = table().shapes.get(key)!;
  if (kind === "a") {
    const list = value as readonly unknown[];
    writer.array(list.length);
    for (const one of list) writeValue(writer, of ?? "", one);
  } else if (kind === "r") {
    const form = table().byName.get(low!)!;
    writer.array(form.fields.length);
    writeFields(writer, form, value as Values);
  } else if (kind === "u") writeMessage(writer, value as Message);
  else if (kind === "w") writer.raw(value as Raw);
  else writer.write(value as Packed);
}

const NO_FIELDS = /* @__PURE__ */ Uint8Array.of(0x80);

function fallback(field: Field): unknown {
  const kind = table().shapes.get(field.shape)![0]!;
  if (field.fallback) return JSON.parse(field.fallback);
  if (kind === "s") return "";
  if (kind === "b") return false;
  if (kind === "a") return [];
  if (kind === "w") return NO_FIELDS;
  return kind === "x" ? new Uint8Array() : 0;
}

// Reading

class Wrong extends Error {}
/** An event's body of a tag that is not known. */
class Newer extends Error {}

/** What a server sent. Throws `BadFrame`. */
export function decodeFrame(raw: Uint8Array): Heard {
  try {
    return decode("f", raw) as Frame;
  } catch (error) {
    if (error instanceof BadFrame && error.code === Code.UNKNOWN) return { type: "UnknownFrame", tag: error.tag };
    if (!(error instanceof Newer)) throw error;
    const reader = new Reader(raw);
    reader.array();
    const [, stream, seq, author, at] = [0, 0, 0, 0, 0].map(() => reader.read() as number) as [number, number, number, number, number];
    reader.array();
    return { type: "UnknownEvent", stream, seq, author, at, tag: reader.read() as number };
  }
}

/** An event's body. Throws `BadFrame`. */
export function decodeBody(raw: Raw): Body | UnknownBody {
  try {
    return decode("b", raw) as Body;
  } catch (error) {
    if (error instanceof BadFrame && error.code === Code.UNKNOWN) return { type: "UnknownBody", tag: error.tag };
    throw error;
  }
}

/** What a mutation asks for. Throws `BadFrame`. */
export function decodeOperation(raw: Raw): Operation {
  const operation = decode("o", raw) as Operation;
  for (const [name, value] of Object.entries(operation)) {
    if (typeof value === "string" && value.includes("\0")) throw new BadFrame(Code.INVALID, `\`${name}\` contains U+0000`);
  }
  return operation;
}

/** A message of a group. Throws `BadFrame`, and for an event with an unknown body something that `decodeFrame` knows. */
export function decode(group: Group, raw: Uint8Array): Message {
  const reader = new Reader(raw);
  try {
    const message = readMessage(reader, group);
    if (!reader.isAtEnd) throw new Wrong("bytes follow it");
    return message;
  } catch (error) {
    if (error instanceof Wrong || error instanceof NotMsgpack || (error instanceof Newer && group === "b")) throw diagnose(group, raw, error);
    throw error;
  }
}

/** A part of a message that was left as bytes, such as a chunk's `ChangeItem`. Throws `BadFrame`. */
export function decodePart<T>(name: string, raw: Raw): T {
  const reader = new Reader(raw);
  try {
    return readFields(reader, table().byName.get(name)!, reader.array()) as T;
  } catch (error) {
    throw new BadFrame(Code.INVALID, `${name}: ${(error as Error).message}`);
  }
}

function readMessage(reader: Reader, group: Group): Message {
  const length = reader.array();
  if (length < 1) throw new Wrong("a message is an array that begins with its tag");
  const tag = reader.read();
  const form = table().byTag[group].get(tag as number);
  if (!form && group === "b") {
    // Only where nothing else is wrong with it.
    if (typeof tag !== "number" || !Number.isInteger(tag)) throw new Wrong("a tag is a whole number");
    throw new Newer(`tag ${tag}`);
  }
  if (!form) throw new Wrong("its tag is not known");
  return { type: form.name, ...readFields(reader, form, length - 1) } as unknown as Message;
}

function readFields(reader: Reader, form: Form, length: number): Values {
  if (length < 0) throw new Wrong(`${form.name}: no array`);
  const values: Values = {};
  form.fields.forEach((field, place) => {
    if (place < length) {
      try {
        values[field.name] = readValue(reader, field.shape);
      } catch (error) {
        if (error instanceof Wrong) error.message = `${field.name}: ${error.message}`;
        throw error;
      }
    } else if (field.fallback === undefined) throw new Wrong(`${field.name} is missing`);
    else values[field.name] = fallback(field);
  });
  if (form.strict && length > form.fields.length) throw new Wrong(`${form.name} has ${form.fields.length} fields, not ${length}`);
  for (let place = form.fields.length; place < length; place++) reader.slice();
  return values;
}

function readValue(reader: Reader, key: string): unknown {
  const words = table().shapes.get(key)!;
  const [kind, low, high, of] = words;
  if (kind === "w") return reader.slice();
  if (kind === "u") return readMessage(reader, low as Group);
  if (kind === "r") return readFields(reader, table().byName.get(low!)!, reader.array());
  if (kind === "a") {
    const length = reader.array();
    if (length < 0) throw new Wrong("an array");
    within(length, low, high);
    return Array.from({ length }, () => readValue(reader, of!));
  }
  const value = reader.read();
  if (kind === "s") {
    if (typeof value !== "string") throw new Wrong("text");
    let points = 0;
    for (const _ of value) points++;
    within(points, low, high);
  } else if (kind === "b") {
    if (typeof value !== "boolean") throw new Wrong("true or false");
  } else if (kind === "x") {
    if (!(value instanceof Uint8Array)) throw new Wrong("bytes");
    within(value.length, low, high);
  } else {
    if (typeof value !== "bigint" && !Number.isInteger(value)) throw new Wrong("a whole number");
    if (kind === "i") within(value as number, low, high);
    else if (!words.includes(String(value), 1)) return newer(kind!, value as number);
  }
  return value;
}

function within(value: number | bigint, low: string | undefined, high: string | undefined): void {
  if (value < bound(low!) || (high !== undefined && high !== "-" && value > bound(high))) throw new Wrong(`${low} to ${high ?? "any"}`);
}

function bound(words: string): number | bigint {
  const value = Number(words);
  return Number.isSafeInteger(value) ? value : BigInt(words);
}

/** What an unknown member of an enumeration, or an unknown code, is taken for: the most careful of those that are known. */
function newer(kind: string, value: number): number {
  if (kind === "e" || (kind === "c" && value < 0)) throw new Wrong("none of its values");
  return kind === "o" ? 0 : value >= 4000 ? Code.FAULT : Code.INVALID;
}

function diagnose(group: Group, raw: Uint8Array, error: Error): BadFrame {
  let tag: Packed = 0;
  try {
    const whole = new Reader(raw);
    whole.slice();
    const head = new Reader(raw);
    if (!whole.isAtEnd || head.array() < 1 || !Number.isInteger((tag = head.read()))) throw new NotMsgpack(error.message);
  } catch {
    return new BadFrame(Code.BAD_FRAME, `a frame is an array that begins with its tag: ${error.message}`);
  }
  const known = table().byTag[group].has(tag as number);
  return known
    ? new BadFrame(Code.INVALID, error.message, tag as number)
    : new BadFrame(Code.UNKNOWN, `tag ${String(tag)} is not known`, tag as number);
}

// Messages

/** A message's frames. Throws `BadFrame`. */
export function split(message: Uint8Array, framesMax = BATCH_FRAMES_MAX): Uint8Array[] {
  const bad = (detail: string) => new BadFrame(Code.BAD_FRAME, detail);
  const reader = new Reader(message);
  try {
    const count = reader.array();
    const first = message[reader.at] ?? 0;
    if (count < 1 || reader.isAtEnd) throw bad("a message is a frame, or an array of frames");
    if (first >> 4 !== 9 && first !== 0xdc && first !== 0xdd) return [message];
    if (count > framesMax) throw bad(`${count} frames in a message; at most ${framesMax} are allowed`);
    const frames = Array.from({ length: count }, () => reader.slice());
    if (!reader.isAtEnd) throw bad("bytes follow the message");
    return frames;
  } catch (error) {
    throw error instanceof NotMsgpack ? bad(error.message) : error;
  }
}

/** One message of one or more frames. */
export function join(frames: readonly Uint8Array[]): Uint8Array {
  if (frames.length === 1) return frames[0]!;
  const writer = new Writer();
  writer.array(frames.length);
  for (const frame of frames) writer.raw(frame);
  return writer.take();
}
