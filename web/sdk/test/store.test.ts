import assert from "node:assert/strict";
import { test } from "node:test";
import { encode } from "../src/codec";
import { DiskFull } from "../src/errors";
import { Exchange } from "../src/exchange";
import { forget } from "../src/forgetting";
import { keepRecords } from "../src/keeping";
import { MemoryDisk } from "../src/memory_store";
import type { Operation, Welcome } from "../src/protocol";
import { RecordStore } from "../src/record_store";
import { bringRest } from "../src/rarely";
import { Store } from "../src/store";

await bringRest();
const T = 1_800_000_000;
const WORLD = { wall: () => T * 1000, spread: () => 0.5, later: () => () => undefined };
const say = (text: string): Operation => ({ type: "Say", stream: 9, text });
const WELCOME: Welcome = {
  type: "Welcome",
  version: 1,
  session: 9,
  user: 5,
  inbox: 2,
  last_number: 0,
  epoch: 7,
  server_ms: T * 1000,
  heartbeat_s: 45,
  expires: T + 900,
  limits: { message_bytes_max: 65_536, in_flight_max: 256, follows_max: 500 },
};

/** A disk whose writes a test lets through, one by one. */
class SlowDisk extends MemoryDisk {
  private waiting: (() => void)[] = [];
  batches = 0;

  override async write(rows: ReadonlyMap<string, Uint8Array | null>): Promise<void> {
    await new Promise<void>((go) => this.waiting.push(go));
    this.batches++;
    await super.write(rows);
  }

  async let(): Promise<void> {
    for (let n = 0; n < 5; n++) await Promise.resolve();
    this.waiting.shift()?.();
    for (let n = 0; n < 5; n++) await Promise.resolve();
  }
}

test("what a killed page leaves is the state at some moment: never a number without its mutation, nor a cursor without its record", async () => {
  for (let kills = 0; kills < 12; kills++) {
    const disk = new SlowDisk();
    const store = await Store.open(disk);
    const records = new RecordStore(store);
    store.bind(7);
    store.beginEpoch(7);
    for (let n = 1; n <= 6; n++) {
      const key = store.append(encode(say(`text ${n}`)), "");
      store.number([[key, n]]);
      records.apply(30, n, [{ stream: 30, entity: 3, key: 1, version: n, fields: new Map([[1, `version ${n}`]]), gone: false }]);
      if (n % 2) store.settle([{ key, code: 0, value: n, detail: "" }], T);
      if (disk.batches < kills) await disk.let();
    }
    const after = await Store.open(disk);
    const seq = after.cursors.get(30) ?? 0;
    assert.equal(new RecordStore(after).record(30, 3, 1)?.version ?? 0, seq);
    assert.equal(after.lastNumber, seq);
    const numbers = [...after.mutations.values(), ...after.settled.values()].map((kept) => kept.number);
    assert.deepEqual(numbers.sort(), Array.from({ length: seq }, (_, n) => n + 1));
  }
});

test("nothing is durable before it is written, and what comes meanwhile goes into the next batch", async () => {
  const disk = new SlowDisk();
  const store = await Store.open(disk);
  store.append(encode(say("one")), "");
  let isDurable = false;
  const durable = store.durable().then(() => (isDurable = true));
  for (let n = 0; n < 10; n++) await Promise.resolve();
  store.append(encode(say("two")), "");
  assert.equal(isDurable, false);
  await disk.let();
  assert.equal(isDurable, false, "the second one is not written yet");
  await disk.let();
  await durable;
  assert.equal((await Store.open(disk)).mutations.size, 2);
  assert.equal(disk.batches, 2);
});

test("where the disk is full, records give way and what has not been sent stays", async () => {
  const disk = new MemoryDisk();
  let room = Infinity;
  const write = disk.write.bind(disk);
  disk.write = async (rows) => {
    const after = new Map([...disk.rows, ...rows]);
    const bytes = [...after.values()].reduce((sum, row) => sum + (row?.length ?? 0), 0);
    if (bytes > room) throw new DiskFull("no room");
    await write(rows);
  };
  const store = await Store.open(disk);
  store.bind(7);
  const client = new Exchange(store, WORLD);
  const kept = new RecordStore(store);
  keepRecords(store, kept, client);
  store.onTrouble = async () => client.keeping!.makeRoom();
  client.helloCursors();
  client.welcome(WELCOME, false, 0);
  const streams = [25, 26].map((stream, at) => ({ stream, kind: 11 + at, name: "", head: 0, read_upto: 0, may_write: true }));
  const space = { space: 20, kind: 1, name: "Seven springs", role: 1, streams };
  const asked = () => client.collect().length > 0;
  asked();
  client.hear({ type: "Spaces", id: 1, inbox_upto: 0, spaces: [space], invitations: [], blocked: [], slow: [] });
  for (const [place, { stream }] of streams.entries()) {
    const records = Array.from({ length: 20 }, (_, n) => ({ stream, entity: 7 + place, key: n + 1, version: 1, fields: new Map([[1, "x".repeat(100)]]), gone: false }));
    kept.applyPage({ stream, head: 1, entity: 7 + place, key: 20 }, records, false);
    client.streams.startAt(stream, 1);
  }
  await store.durable();
  room = [...disk.rows.values()].reduce((sum, row) => sum + row.length, 0) + 10;
  const { value } = client.mutations.submit(say("there is no room for this"), "");
  value.catch(() => undefined);
  await store.durable();
  const after = await Store.open(disk);
  assert.equal(after.mutations.size, 1);
  const left = new RecordStore(after);
  assert.deepEqual([left.records(25, 7).length, left.records(26, 8).length], [20, 0], "content goes before what a community does");
});

test("a mutation that another tab asks for again, by its own name for it, is kept once", async () => {
  const store = await Store.open(new MemoryDisk());
  store.bind(7);
  const client = new Exchange(store, WORLD);
  const [first, again] = [client.mutations.submit(say("once"), "a"), client.mutations.submit(say("once"), "a")];
  assert.equal(first.key, again.key);
  client.helloCursors();
  client.welcome(WELCOME, false, 0);
  client.collect();
  client.hear({ type: "Done", number: 1, value: 41 });
  assert.deepEqual(await Promise.all([first.value, again.value, client.mutations.submit(say("once"), "a").value]), [41, 41, 41]);
  assert.equal(store.mutations.size, 0);
});

test("another person's login finds nothing of the one before", async () => {
  const disk = new MemoryDisk();
  const store = await Store.open(disk);
  store.bind(7);
  store.append(encode(say("secret")), "");
  store.note("room/9", () => ["secret"]);
  new RecordStore(store).apply(30, 1, [{ stream: 30, entity: 3, key: 1, version: 1, fields: new Map([[1, "secret"]]), gone: false }]);
  await store.durable();
  forget(store);
  await store.durable();
  assert.equal([...disk.rows.values()].filter((row) => Buffer.from(row).includes("secret")).length, 0);
  assert.deepEqual([store.mutations.size, store.cursors.size, store.device], [0, 0, 0]);
});
