import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, decodeBody, decodeFrame, decodeOperation, encode, join, split } from "../src/codec";
import { packCursors, unpackCursors } from "../src/cursors";
import { BadFrame } from "../src/errors";
import { Writer, pack, unpack } from "../src/msgpack";
import { Code } from "../src/protocol";
import { FORMS, fromHex, json, packed, toHex, vectors, type Json } from "./vectors";

const VECTORS = vectors("frames");
const FIELDS = new Map<string, [name: string, shape: string][]>(
  FORMS.map((line) => line.split(" ")).map(([head, , ...fields]) => [head!.replace(/^.~?/, ""), fields.map((field) => field.split(/[:=]/, 2) as [string, string])]),
);

function read(reader: string, bytes: Uint8Array): Json {
  if (reader === "frame") return decodeFrame(bytes);
  if (reader === "body") return decodeBody(bytes);
  return reader === "operation" ? decodeOperation(bytes) : decode("c", bytes);
}

/** A message as arrays again: what was read, told without help of the writer under test. */
function plain(value: Json): Json {
  if (value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map(plain);
  if (!value || typeof value !== "object") return value;
  const { type, ...fields } = value;
  const values = Object.values(fields).map(plain);
  return type ? [tagOf(type), ...values] : values;
}

function tagOf(type: string): number {
  const line = FORMS.find((one) => one.replace(/^.~?/, "").startsWith(`${type} `));
  return Number(line!.split(" ")[1]);
}

/** What a field was read as: bytes of a step of its own are read in that step. */
function told(value: Json, expected: Json): Json {
  if (value instanceof Uint8Array) return expected && typeof expected === "object" && "bin" in expected ? { bin: toHex(value) } : json(unpack(value));
  if (Array.isArray(value)) return value.map((one, place) => told(one, expected?.[place]));
  return value;
}

test("every valid frame is read as its fields, and written as its array", () => {
  for (const { name, reader, type, fields, hex, wire } of VECTORS.valid) {
    const message = read(reader, fromHex(hex));
    assert.equal(message.type, type, name);
    for (const [field, expected] of Object.entries(fields)) {
      // A default that JSON writes as "" is no bytes.
      const wanted = message[field] instanceof Uint8Array && expected === "" ? { bin: "" } : expected;
      assert.deepEqual(told(plain(message[field]), wanted), wanted, `${name}: ${field}`);
    }
    const written = unpack(encode(message)) as Json[];
    assert.deepEqual(json(written).slice(0, wire.length), json(packed(wire)), name);
  }
});

test("what a newer server added is passed over", () => {
  for (const { name, reader, type, fields, hex } of VECTORS.newer) {
    const message = read(reader, fromHex(hex));
    assert.equal(message.type, type, name);
    for (const [field, expected] of Object.entries(fields)) assert.deepEqual(told(plain(message[field]), expected), expected, `${name}: ${field}`);
  }
});

test("what is no frame of the protocol is refused, by its code and tag", () => {
  for (const { name, reader, code, tag, hex } of VECTORS.invalid) {
    assert.throws(
      () => {
        const message = read(reader, fromHex(hex));
        // The client's own readers answer with a value for what a newer server may send.
        if (message.type === "UnknownFrame" || message.type === "UnknownBody") throw new BadFrame(Code.UNKNOWN, "", message.tag);
      },
      (error: unknown) => {
        assert.ok(error instanceof BadFrame, `${name}: ${error}`);
        assert.deepEqual([error.code, error.tag], [Code[code as keyof typeof Code], tag], name);
        return true;
      },
      name,
    );
  }
});

test("messages are taken apart and put together", () => {
  for (const { name, frames, hex, written } of VECTORS.messages) {
    assert.deepEqual(split(fromHex(hex)).map(toHex), frames, name);
    if (written === "shortest") assert.equal(toHex(join(frames.map(fromHex))), hex, name);
  }
  for (const { name, hex } of VECTORS.bad_messages) assert.throws(() => split(fromHex(hex)), BadFrame, name);
});

test("cursors are packed and taken apart", () => {
  for (const { cursors, packed: numbers } of VECTORS.cursors) {
    const list = cursors.map(([stream, seq]: [number, number]) => ({ stream, seq }));
    assert.deepEqual(packCursors(list), numbers);
    assert.deepEqual(unpackCursors(numbers), list);
  }
  for (const { name, packed: numbers } of VECTORS.bad_cursors) assert.throws(() => unpackCursors(numbers), BadFrame, name);
});

test("integers of any size are read as they were written", () => {
  for (let bits = 0; bits < 64; bits++) {
    for (const near of [-1n, 0n, 1n]) {
      for (const value of [2n ** BigInt(bits) + near, -(2n ** BigInt(bits)) + near]) {
        if (value < -(2n ** 63n) || value >= 2n ** 64n) continue;
        const safe = value >= -(2n ** 53n) + 1n && value <= 2n ** 53n - 1n;
        assert.equal(unpack(pack(safe ? Number(value) : value)), safe ? Number(value) : value);
      }
    }
  }
  assert.ok(FIELDS.size > 100);
});

test("a length that is not there is not believed", () => {
  for (const hex of ["ddffffffff", "dfffffffff", "dbffffffff61", "c6ffffffff00", "9f", "a5"]) assert.throws(() => unpack(fromHex(hex)), hex);
  const writer = new Writer();
  for (let depth = 0; depth < 2000; depth++) writer.array(1);
  assert.throws(() => unpack(writer.take()));
});
