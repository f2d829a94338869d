import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { decodeFrame } from "../src/codec";
import { NotYet } from "../src/errors";
import { Exchange } from "../src/exchange";
import { keepRecords } from "../src/keeping";
import { MemoryDisk } from "../src/memory_store";
import { pack } from "../src/msgpack";
import { bringRest } from "../src/rarely";
import type { Body, Event, Welcome } from "../src/protocol";
import { RecordStore } from "../src/record_store";
import { OWN_FRAMES } from "../src/socket";
import { Store } from "../src/store";
import * as wire from "../src/wire_api";

const T = 1_800_000_000;
const INBOX = 2;
const OWN = 30;
const BOARD = 40;
const WORLD = { wall: () => T * 1000, spread: () => 0.5, later: () => () => undefined };
const LIMITS = { message_bytes_max: 65_536, in_flight_max: 256, follows_max: 500 };
const WELCOME: Welcome = { type: "Welcome", version: 1, session: 9, user: 5, inbox: INBOX, last_number: 0, epoch: 7, server_ms: T * 1000, heartbeat_s: 45, expires: T + 900, limits: LIMITS };

async function opened(): Promise<{ store: Store; exchange: Exchange; hear: (body: Body, seq: number) => void }> {
  await bringRest();
  const store = await Store.open(new MemoryDisk());
  store.bind(7);
  const exchange = new Exchange(store, WORLD);
  exchange.readInbox(INBOX, { take: () => undefined, caughtUp: () => undefined, refused: () => undefined, restarted: () => undefined });
  exchange.helloCursors();
  exchange.welcome(WELCOME, false, 0);
  exchange.collect();
  const board = { stream: BOARD, kind: 11, name: "", head: 3, read_upto: 0, may_write: true };
  exchange.hear({ type: "Spaces", id: 1, inbox_upto: 0, spaces: [{ space: 20, kind: 1, name: "Springs", role: 8, streams: [board] }], invitations: [], blocked: [], slow: [] });
  const hear = (body: Body, seq: number) => exchange.hear({ type: "Event", stream: INBOX, seq, author: 0, at: T, body } as Event);
  return { store, exchange, hear };
}

test("what a session folds by itself is among the forms that come with it", () => {
  const first = readFileSync("src/wire.ts", "utf8");
  // The inbox is read once the rest is here, so what overview.ts takes of it may be of the rest.
  for (const file of ["rooms", "exchange", "socket", "streams"]) {
    const source = readFileSync(`src/${file}.ts`, "utf8");
    const named = [...source.matchAll(/(?:body|frame|operation|hint)\??\.type [!=]== "(\w+)"/g), ...source.matchAll(/\{ type: "(\w+)", id/g)];
    for (const [, name] of named) {
      // Of the rest: who hears it has waited for that.
      assert.ok(["UnknownEvent", "Cleared"].includes(name!) || new RegExp(`^[cofb]~?${name} `, "m").test(first), `${name} in ${file}.ts is not in wire.ts`);
    }
  }
});

test("what takes frames by itself takes those that come with it, and no others", () => {
  const first = readFileSync("src/wire.ts", "utf8");
  const frames = [...first.matchAll(/^f~?(\w+) /gm)].map(([, name]) => name!);
  assert.deepEqual([...OWN_FRAMES].sort(), frames.sort());
});

test("what happens to conflicts before records are kept is asked about when they are", async () => {
  const { store, exchange, hear } = await opened();
  store.note("conflicts", wire.encode({ type: "ConflictPage", id: 1, conflicts: [], more: false }));
  hear({ type: "ConflictNoted", conflict: 5, stream: BOARD, entity: 7, key: 1, state: 1, by: 0 }, 1);
  assert.ok(store.noted("doubted"), "noted in the same step as the cursor");
  assert.equal(store.cursors.get(INBOX), 1);
  assert.equal(exchange.isComplete, false, "nothing is complete before records are kept");
  keepRecords(store, new RecordStore(store), exchange);
  assert.equal(exchange.keeping!.isDoubtful, true);
});

test("a space that one left before records are kept leaves nothing of them here", async () => {
  const { store, exchange, hear } = await opened();
  const records = new RecordStore(store);
  records.applyPage({ stream: BOARD, head: 3, entity: 7, key: 1 }, [{ stream: BOARD, entity: 7, key: 1, version: 1, fields: new Map([[1, "theirs"]]), gone: false }], false);
  hear({ type: "SpaceLeft", space: 20 }, 1);
  assert.equal(records.records(BOARD, 7).length, 1);
  keepRecords(store, records, exchange);
  assert.equal(records.records(BOARD, 7).length, 0);
  assert.equal(store.cursors.has(BOARD), false);
});

test("records that come in the middle of a session are followed from then on, and the session is complete when they are here", async () => {
  const { store, exchange } = await opened();
  assert.deepEqual(exchange.streams.positions.missing(), [INBOX]);
  exchange.collect();
  keepRecords(store, new RecordStore(store), exchange);
  const asked = exchange.collect().map((raw) => wire.decodeFrame(raw));
  assert.ok(asked.length > 0, "the snapshot and the conflicts are asked for");
  assert.equal(exchange.behind > 0, true);
});

test("after a restore nothing is taken before what knows how to go on is here, and the store stays where it was", async () => {
  const { store, exchange } = await opened();
  exchange.cut();
  exchange.helloCursors();
  assert.throws(() => exchange.welcome({ ...WELCOME, epoch: 8 }, true, 0), NotYet);
  assert.equal(store.epoch, 7);
  keepRecords(store, new RecordStore(store), exchange);
  exchange.welcome({ ...WELCOME, epoch: 8 }, true, 0);
  assert.equal(store.epoch, 8);
});

test("of an event that is not taken apart the place in its stream counts, and its tag is told", () => {
  const unknown = decodeFrame(pack([48, OWN, 4, 5, T, [9_999, 1]]));
  assert.deepEqual(unknown, { type: "UnknownEvent", stream: OWN, seq: 4, author: 5, at: T, tag: 9_999 });
});

test("whoever imports the wire by itself reads all of it", () => {
  assert.equal(wire.decodeOperation(wire.encode({ type: "Reopen", conflict: 5 })).type, "Reopen");
});
