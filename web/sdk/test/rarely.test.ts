import assert from "node:assert/strict";
import { test } from "node:test";
import { encode, join } from "../src/codec";
import { Core } from "../src/core";
import { MemoryDisk } from "../src/memory_store";
import { pack } from "../src/msgpack";
import type { Welcome } from "../src/protocol";
import { bringRest, rest } from "../src/rarely";
import type { Link } from "../src/socket";
import { Store } from "../src/store";

const T = 1_800_000_000;
const STREAM = 9;
const LOGIN = { access_token: "a", expires_at: T + 900, refresh_token: "r", user: 5, device: 7, inbox: 2, name: "ada", display_name: "Ada" };
const LIMITS = { message_bytes_max: 65_536, in_flight_max: 256, follows_max: 500 };
const WELCOME: Welcome = { type: "Welcome", version: 1, session: 9, user: 5, inbox: 2, last_number: 0, epoch: 7, server_ms: T * 1000, heartbeat_s: 45, expires: T + 900, limits: LIMITS };
const said = (seq: number, text: string) => encode({ type: "Event", stream: STREAM, seq, author: 6, at: T, body: { type: "Said", text } });

test("a frame that only the rest of a session knows waits for it, with all that comes behind it", async () => {
  const disk = new MemoryDisk();
  const store = await Store.open(disk);
  store.bind(LOGIN.device);
  store.note("login", JSON.stringify(LOGIN));
  await store.durable();
  let link!: Link;
  const socket = () => (link = { binaryType: "", bufferedAmount: 0, onopen: null, onmessage: null, onclose: null, onerror: null, send: () => undefined, close: () => undefined });
  const world = { wall: () => T * 1000, spread: () => 0.5, later: () => () => undefined };
  const core = await Core.open({ url: "http://learn.example", disk, world, fetcher: fetch, socket, link: () => 0, deviceName: "test", quotaBytes: 0, files: "" });
  const room = core.room(STREAM);
  const hear = (...frames: Uint8Array[]) => link.onmessage!({ data: join(frames) });

  assert.equal(rest(), undefined, "nothing has asked for it yet");
  link.onopen!({});
  hear(encode(WELCOME), said(1, "one"));
  assert.equal(core.runner!.status.state, "online");
  assert.equal(room.upto, 1, "what every session hears is taken at once");

  const draining = pack([39, 60_000]);
  hear(draining, said(2, "two"));
  hear(said(3, "three"));
  assert.deepEqual([rest(), room.upto, core.runner!.machine.state], [undefined, 1, "online"]);

  await bringRest();
  await new Promise((go) => setImmediate(go));
  assert.deepEqual([room.upto, core.runner!.machine.state], [3, "draining"]);
  await core.close();
});
