import assert from "node:assert/strict";
import { test } from "node:test";
import { conflictAfter, downcast, fieldsOf, isGone, merge, upcast, type Stamp } from "../src/merge";
import { encode } from "../src/codec";
import { unpack } from "../src/msgpack";
import { packChunk } from "../src/parcels";
import type { Value } from "../src/protocol";
import { Outcome, prepare, entities, readOutcome } from "../src/records";
import { fromHex, json, packed, vectors, type Json } from "./vectors";

const VECTORS = vectors("sync");
const pairs = (fields: ReadonlyMap<number, Value>) => [...fields].sort(([a], [b]) => a - b);

test("two changes that did not know of each other come to what the server makes of them", () => {
  for (const { name, entity, record, change, stamp, outcome, after, theirs, mine, conflict, attempt } of VECTORS.merge) {
    const cells = new Map<number, Json>(record.cells.map(([number, [value, version, of]]: Json) => [number, { value, version, stamp: of as Stamp }]));
    const verdict = merge(entity, { version: record.version, cells }, { ...change, fields: new Map(change.fields) }, stamp);
    assert.equal(verdict.outcome, Outcome[outcome as keyof typeof Outcome], name);
    assert.deepEqual({ fields: pairs(fieldsOf(verdict.record)), gone: isGone(verdict.record) }, after, name);
    assert.deepEqual([pairs(verdict.theirs), pairs(verdict.mine), verdict.conflict, verdict.attempt], [theirs, mine, conflict, attempt], name);
  }
});

test("fields of older schemas are read, and told back, as the table says", () => {
  for (const { name, entity, schema, old, present, down } of VECTORS.casts) {
    if (old) assert.deepEqual(pairs(upcast(entity, new Map(old))), present, name);
    // Whether an older client knows an entity at all the server decides: it tells it nothing of those.
    if (down) assert.deepEqual(pairs(downcast(entity, new Map(present), schema)), down, name);
  }
});

test("chunks carry their changes as every other client's do", () => {
  for (const { name, number, operations, wire } of VECTORS.chunks) {
    assert.deepEqual(json(unpack(encode(packChunk(number, operations.map(fromHex))))), json(packed(wire)), name);
  }
});

test("the value of a change says what became of it", () => {
  for (const { value, outcome, n } of VECTORS.outcomes) {
    assert.deepEqual(readOutcome(value), { outcome: Outcome[outcome as keyof typeof Outcome], n });
  }
});

test("a conflict's life is that of the table", () => {
  for (const { state, operation, leads_to } of VECTORS.conflicts) assert.equal(conflictAfter(state, operation) ?? null, leads_to);
});

test("what the table does not allow is refused before it is kept", () => {
  const profile = entities().get(3)!;
  for (const fields of [[[1, "x".repeat(501)]], [[1, 5]], [[9, "x"]], [[3, ["en", 7]]], [[1, "a\0b"]], []]) {
    assert.throws(() => prepare(profile, 1, new Map(fields as [number, Value][]), false), JSON.stringify(fields));
  }
  assert.throws(() => prepare(profile, 2, new Map([[1, "x"]]), false), /key 1/);
  assert.equal(prepare(profile, 1, new Map([[1, "😀".repeat(500)]]), false).size, 1);
});
