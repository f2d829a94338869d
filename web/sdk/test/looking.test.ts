import assert from "node:assert/strict";
import { test } from "node:test";
import { encode } from "../src/codec";
import { Core } from "../src/core";
import { MemoryDisk } from "../src/memory_store";
import type { Event } from "../src/protocol";
import { RecordStore } from "../src/record_store";
import { learnRest } from "../src/rest_of_wire";
import { Store } from "../src/store";

const T = 1_800_000_000;
const BOARD = 40;
const TALK = 50;
const ACTION = 7;
const LOGIN = { access_token: "a", expires_at: T + 900, refresh_token: "r", user: 5, device: 7, inbox: 2, name: "ada", display_name: "Ada" };

interface Scene {
  readonly core: Core;
  readonly waits: { readonly ms: number; readonly act: () => void }[];
}

/** A session without a network, on a disk with records and a conversation. */
async function opened(): Promise<Scene> {
  learnRest();
  const disk = new MemoryDisk();
  const before = await Store.open(disk);
  before.bind(LOGIN.device);
  before.note("login", JSON.stringify(LOGIN));
  const stream = (of: number, kind: number) => ({ stream: of, kind, name: "", head: 3, read_upto: 0, may_write: true });
  const space = { space: 20, kind: 1, name: "Springs", role: 8, streams: [stream(BOARD, 11), stream(TALK, 3)] };
  before.note("spaces", encode({ type: "Spaces", id: 1, inbox_upto: 0, spaces: [space], invitations: [], blocked: [], slow: [] }));
  const records = [1, 2, 3].map((key) => ({ stream: BOARD, entity: ACTION, key, version: 1, fields: new Map([[1, `action ${key}`]]), gone: false }));
  new RecordStore(before).applyPage({ stream: BOARD, head: 3, entity: ACTION, key: 3 }, records, false);
  await before.durable();
  const waits: Scene["waits"] = [];
  const world = { wall: () => T * 1000, spread: () => 0.5, later: (ms: number, act: () => void) => (waits.push({ ms, act }), () => undefined) };
  const link = { binaryType: "", bufferedAmount: 0, onopen: null, onmessage: null, onclose: null, onerror: null, send: () => undefined, close: () => undefined };
  const core = await Core.open({ url: "http://learn.example", disk, world, fetcher: fetch, socket: () => link, link: () => 0, deviceName: "test", quotaBytes: 0, files: "" });
  await core.part("records");
  return { core, waits };
}

type Listed = readonly { readonly fields: ReadonlyMap<number, unknown> }[];

/** The fields of all records, as somebody sees them who looks now and goes away again. */
function glance(core: Core): ReadonlyMap<number, unknown>[] {
  let seen: Listed = [];
  core.open("records.list", [BOARD, ACTION], (value) => (seen = value as Listed))();
  return seen.map(({ fields }) => fields);
}

test("records are taken apart once while somebody looks, and are bytes again when nobody does", async () => {
  const { core } = await opened();
  const off = core.open("records.one", [BOARD, ACTION, 1], () => undefined);
  const [first, second] = [glance(core), glance(core)];
  assert.deepEqual(first.map((fields) => fields.get(1)), ["action 1", "action 2", "action 3"]);
  assert.ok(first.every((fields, place) => fields === second[place]), "taken apart once");
  off();
  const later = glance(core);
  assert.deepEqual(later, first);
  assert.ok(later.every((fields, place) => fields !== first[place]), "nothing of it was held");
  await core.close();
});

test("of a conversation that nobody looks at any more no more is held than is kept, after a moment", async () => {
  const { core, waits } = await opened();
  const messages = () => (core.exchange.streams.readers.get(TALK) as unknown as { messages: Map<number, unknown> }).messages.size;
  const off = core.open("stream", [TALK], () => undefined);
  const reader = core.exchange.streams.readers.get(TALK)!;
  for (let seq = 4; seq < 504; seq++) reader.take({ type: "Event", stream: TALK, seq, author: 6, at: T, body: { type: "Said", text: `message ${seq}` } } as Event);
  assert.equal(messages(), 500);
  off();
  assert.equal(messages(), 500, "who comes back at once finds what they read");
  const again = core.open("stream", [TALK], () => undefined);
  for (const { act } of waits.splice(0)) act();
  assert.equal(messages(), 500);
  again();
  for (const { act } of waits.splice(0)) act();
  assert.equal(messages(), 100);
  await core.close();
});
