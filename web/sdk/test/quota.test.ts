import assert from "node:assert/strict";
import { test } from "node:test";
import { encode } from "../src/codec";
import { Core } from "../src/core";
import { DiskFull } from "../src/errors";
import { MemoryDisk } from "../src/memory_store";
import type { Event, Operation } from "../src/protocol";
import { RecordStore } from "../src/record_store";
import { learnRest } from "../src/rest_of_wire";
import { bounds } from "../src/rooms";
import { Store } from "../src/store";

const T = 1_800_000_000;
const [OWN, BOARD, LIBRARY, TALK] = [30, 40, 41, 50];
const LOGIN = { access_token: "a", expires_at: T + 900, refresh_token: "r", user: 5, device: 7, inbox: 2, name: "ada", display_name: "Ada" };
const say = (text: string): Operation => ({ type: "Say", stream: TALK, text });

/** As a browser counts: what a batch writes has to find room beside all that is there before it. */
class SmallDisk extends MemoryDisk {
  room = Infinity;
  refused = 0;

  get used(): number {
    return [...this.rows].reduce((sum, [name, row]) => sum + name.length + row.length, 0);
  }

  override async write(rows: ReadonlyMap<string, Uint8Array | null>): Promise<void> {
    const wanted = [...rows].reduce((sum, [name, row]) => sum + (row ? name.length + row.length : 0), 0);
    if (wanted && this.used + wanted > this.room) {
      this.refused++;
      throw new DiskFull("no room");
    }
    await super.write(rows);
  }
}

/** A device with a long conversation, records of its own, a community's board and library, and mutations that were acknowledged long ago. */
async function opened(): Promise<{ disk: SmallDisk; core: Core }> {
  learnRest();
  bounds.kept = 100;
  const disk = new SmallDisk();
  const before = await Store.open(disk);
  before.bind(LOGIN.device);
  before.note("login", JSON.stringify(LOGIN));
  const stream = (of: number, kind: number) => ({ stream: of, kind, name: "", head: 1, read_upto: 0, may_write: true });
  const streams = [stream(BOARD, 11), stream(LIBRARY, 12), stream(TALK, 3)];
  const spaces = [{ space: 20, kind: 1, name: "Springs", role: 8, streams }, { space: 21, kind: 2, name: "", role: 8, streams: [stream(OWN, 8)] }];
  before.note("spaces", encode({ type: "Spaces", id: 1, inbox_upto: 0, spaces, invitations: [], blocked: [], slow: [] }));
  const records = new RecordStore(before);
  for (const [of, entity] of [[OWN, 6], [BOARD, 7], [LIBRARY, 8]] as const) {
    const some = Array.from({ length: 20 }, (_, n) => ({ stream: of, entity, key: n + 1, version: 1, fields: new Map([[entity === 6 ? 3 : 1, "x".repeat(100)]]), gone: false }));
    records.applyPage({ stream: of, head: 1, entity, key: 20 }, some, false);
  }
  const keys = Array.from({ length: 300 }, (_, n) => before.append(encode(say(`long ago ${n}`)), ""));
  before.number(keys.map((key, n) => [key, n + 1] as const));
  before.settle(keys.map((key) => ({ key, code: 0, value: 1, detail: "" })), T);
  await before.durable();
  const world = { wall: () => T * 1000, spread: () => 0.5, later: () => () => undefined };
  const link = { binaryType: "", bufferedAmount: 0, onopen: null, onmessage: null, onclose: null, onerror: null, send: () => undefined, close: () => undefined };
  const core = await Core.open({ url: "http://learn.example", disk, world, fetcher: fetch, socket: () => link, link: () => 0, deviceName: "test", quotaBytes: 0, files: "" });
  await core.part("records");
  core.exchange.keeping!.carryOutPlan();
  const talk = core.exchange.streams.readers.get(TALK)!;
  for (let seq = 2; seq < 102; seq++) talk.take({ type: "Event", stream: TALK, seq, author: 6, at: T, body: { type: "Said", text: `message ${seq} ${"x".repeat(100)}` } } as Event);
  await core.store.durable();
  return { disk, core };
}

/** Somebody writes so much, without a network, on a disk that has so much room left. */
async function write(core: Core, disk: SmallDisk, left: number, texts: readonly string[]): Promise<void> {
  disk.room = disk.used + left;
  const operations = texts.map((text, place) => core.call("submit", say(text), `n${place}`));
  for (const one of operations) one.catch(() => undefined);
  while (core.store.mutations.size < texts.length) await new Promise((go) => setImmediate(go));
  await core.store.durable();
}

const kept = async (disk: MemoryDisk, stream: number, entity: number) => new RecordStore(await Store.open(disk)).records(stream, entity).length;
const messages = async (disk: MemoryDisk) => ((await Store.open(disk)).noted(`room/${TALK}`) as unknown as [number, number, unknown[]])[2].length;

test("messages that the server has give way first, and what was written without a network is kept", async () => {
  const { core, disk } = await opened();
  assert.equal(await messages(disk), 100);
  await write(core, disk, 200, ["a".repeat(2000), "b".repeat(2000)]);
  assert.equal(disk.refused, 1);
  assert.equal((await Store.open(disk)).mutations.size, 2);
  assert.equal(await messages(disk), 20);
  assert.deepEqual([await kept(disk, BOARD, 7), await kept(disk, LIBRARY, 8)], [20, 20]);
  await core.close();
});

test("then records, the last in the order of streams first, then what was acknowledged long ago; never what is one's own", async () => {
  const { core, disk } = await opened();
  const texts = Array.from({ length: 5 }, (_, n) => String(n).repeat(2900));
  await write(core, disk, 200, texts);
  const after = await Store.open(disk);
  assert.equal(after.mutations.size, 5);
  assert.deepEqual([await kept(disk, OWN, 6), await kept(disk, LIBRARY, 8)], [20, 0]);
  await core.close();
});

test("where nothing more can be given up whoever writes is told, and nothing of what was kept is lost", async () => {
  const { core, disk } = await opened();
  await assert.rejects(write(core, disk, 200, Array.from({ length: 40 }, (_, n) => String(n % 10).repeat(4000))), DiskFull);
  const after = await Store.open(disk);
  assert.equal(after.settled.size, 256);
  assert.deepEqual([await kept(disk, OWN, 6), await kept(disk, LIBRARY, 8), await kept(disk, BOARD, 7)], [20, 0, 0]);
  // There is room again: what was written is in memory still, and goes onto the disk.
  disk.room = Infinity;
  await core.store.durable();
  assert.equal((await Store.open(disk)).mutations.size, 40);
  await core.close();
});
