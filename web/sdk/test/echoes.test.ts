import assert from "node:assert/strict";
import { test } from "node:test";
import { encode } from "../src/codec";
import { MemoryDisk } from "../src/memory_store";
import type { Event } from "../src/protocol";
import { readChat, Room } from "../src/rooms";
import { Store } from "../src/store";

const STREAM = 7;
const ME = 1;
const TEXT = "said just before the page was closed";

test("what was committed and has not come is there after a restart, once, and is remembered until it comes", async () => {
  const disk = new MemoryDisk();
  const before = await Store.open(disk);
  const key = before.append(encode({ type: "Say", stream: STREAM, text: TEXT }), "");
  before.number([[key, 1]]);
  before.settle([{ key, code: 0, value: 9, detail: "" }], 100);
  await before.durable();
  const store = await Store.open(disk);
  const { operation, at, echo } = store.settled.get(key)!;
  const talk = Room.restore(store, STREAM, 8, () => undefined);
  talk.put(key, readChat(operation)!, at, echo);
  assert.deepEqual(talk.view(ME, 0).messages.map((one) => [one.seq, one.at, one.state]), [[9, 100, "sent"]]);
  talk.take({ type: "Event", stream: STREAM, seq: 9, author: ME, at: 101, body: { type: "Said", text: TEXT } } as Event);
  assert.deepEqual(talk.view(ME, 0).messages.map((one) => [one.seq, one.at]), [[9, 101]]);
  assert.equal(store.settled.get(key)!.echo, 0);
  talk.put(key, readChat(operation)!, at, echo);
  assert.equal(talk.view(ME, 0).messages.length, 1, "its event came already");
});
