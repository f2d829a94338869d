import assert from "node:assert/strict";
import { test } from "node:test";
import { knows } from "../src/codec";
import { Core } from "../src/core";
import { MemoryDisk } from "../src/memory_store";
import type { Operation } from "../src/protocol";
import { Store } from "../src/store";

const T = 1_800_000_000;
const WORLD = { wall: () => T * 1000, spread: () => 0.5, later: () => () => undefined };
const LOGIN = { access_token: "a", expires_at: T + 900, refresh_token: "r", user: 5, device: 7, inbox: 2, name: "ada", display_name: "Ada" };

test("an operation whose form has to be loaded is kept before what is said after it", async () => {
  assert.equal(knows("CreateChannel"), false);
  const disk = new MemoryDisk();
  const before = await Store.open(disk);
  before.bind(LOGIN.device);
  before.note("login", JSON.stringify(LOGIN));
  await before.durable();
  const link = { binaryType: "", bufferedAmount: 0, onopen: null, onmessage: null, onclose: null, onerror: null, send: () => undefined, close: () => undefined };
  const options = { url: "http://learn.example", disk, world: WORLD, fetcher: fetch, socket: () => link, link: () => 0, deviceName: "test", quotaBytes: 0, files: "" };
  const core = await Core.open(options);
  const operations: Operation[] = [
    { type: "CreateChannel", space: 20, name: "maths" },
    { type: "Say", stream: 9, text: "behind it" },
  ];
  for (const [place, operation] of operations.entries()) void core.call("submit", operation, `n${place}`).catch(() => undefined);
  while (core.store.mutations.size < 2) await new Promise((go) => setImmediate(go));
  const kept = [...core.store.mutations.values()].sort((a, b) => a.key - b.key);
  assert.deepEqual(kept.map(({ operation }) => operation[1]), [7, 1]);
  await core.close();
});
