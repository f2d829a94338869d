import assert from "node:assert/strict";
import { test } from "node:test";
import type { Status } from "../src/api";
import { answerSyncs, sendInBackground, sendUnsent, UNSENT, type Sending, type SendingOptions } from "../src/background";
import { encode, join, knows, learn, split } from "../src/codec";
import { DiskFull } from "../src/errors";
import { forget } from "../src/forgetting";
import { MemoryDisk } from "../src/memory_store";
import { unpack } from "../src/msgpack";
import { Code, type Frame, type Operation, type Welcome } from "../src/protocol";
import { Store } from "../src/store";
import { MORE } from "../src/wire_more";

const NOW = Math.floor(Date.now() / 1000);
const LIMITS = { message_bytes_max: 65_536, in_flight_max: 256, follows_max: 500 };
const LOGIN = { access_token: "a1", expires_at: NOW + 900, refresh_token: "r1", user: 5, device: 7, inbox: 2, name: "ada", display_name: "Ada" };
const say = (text: string): Operation => ({ type: "Say", stream: 9, text });

/** As the platform's: one holder a name, none of whom waits. */
class Locks {
  readonly held = new Set<string>();

  async request(name: string, _: unknown, act: (lock: unknown) => unknown): Promise<unknown> {
    if (this.held.has(name)) return act(null);
    this.held.add(name);
    try {
      return await act({});
    } finally {
      this.held.delete(name);
    }
  }
}

/** A server that decides by number, once. */
class House {
  epoch = 3;
  lastNumber = 0;
  token = "a1";
  refresh: "newer" | "over" = "newer";
  /** By number, instead of `Done`. */
  readonly refusals = new Map<number, Code>();
  readonly decided = new Map<number, Uint8Array>();
  readonly asked: string[] = [];
  status = 200;
  /** Called before an answer goes out. */
  meanwhile: (round: number) => void | Promise<void> = () => undefined;
  rounds = 0;

  fetch = async (input: unknown, init: RequestInit = {}): Promise<Response> => {
    const path = String(input).replace("http://learn.example/api/v1/", "");
    this.asked.push(path);
    if (path === "auth/refresh") {
      if (this.refresh === "over") return Response.json({ code: "4003", title: "revoked" }, { status: 401 });
      this.token = "a2";
      return Response.json({ access_token: "a2", expires_at: NOW + 900, refresh_token: "r2" });
    }
    assert.equal(path, "sync");
    if (this.status !== 200) return new Response(null, { status: this.status, headers: { "retry-after": "9" } });
    if ((init.headers as Record<string, string>)["authorization"] !== `Bearer ${this.token}`) return new Response(null, { status: 401 });
    const frames = this.answer(split(init.body as Uint8Array));
    await this.meanwhile(++this.rounds);
    if (init.signal?.aborted) throw new DOMException("cut", "AbortError");
    return new Response(join(frames.map((frame) => encode(frame))) as BodyInit);
  };

  private answer([sync, ...mutations]: Uint8Array[]): Frame[] {
    const [, epoch] = unpack(sync!) as unknown as number[];
    const server_ms = NOW * 1000;
    const welcome: Welcome = { type: "Welcome", version: 1, session: 9, user: 5, inbox: 2, last_number: this.lastNumber, epoch: this.epoch, server_ms, heartbeat_s: 0, expires: NOW + 900, limits: LIMITS };
    if (epoch && epoch !== this.epoch) return [welcome];
    return [welcome, ...mutations.map((raw) => this.decide(raw))];
  }

  private decide(raw: Uint8Array): Frame {
    const [, number] = unpack(raw) as unknown as [number, number];
    const code = this.refusals.get(number);
    if (code === Code.UNAVAILABLE) return { type: "Refused", number, code, detail: "not now", wait_ms: 1000 };
    const before = this.decided.get(number);
    if (before) assert.deepEqual(raw, before, "a number carries the same bytes for ever");
    else if (number > this.lastNumber + 1) return { type: "Refused", number, code: Code.GAP, detail: "one before it is missing", wait_ms: 0 };
    this.decided.set(number, raw);
    this.lastNumber = Math.max(this.lastNumber, number);
    return code ? { type: "Refused", number, code, detail: "no", wait_ms: 0 } : { type: "Done", number, value: 100 + number };
  }
}

let names = 0;

interface Scene {
  readonly house: House;
  readonly disk: MemoryDisk;
  readonly locks: Locks;
  readonly name: string;
  send(more?: SendingOptions): Promise<Sending>;
  /** What a page finds that opens it now. */
  opened(): Promise<Store>;
}

/** A device with these unsent. */
async function left(...operations: Operation[]): Promise<Scene> {
  if (!knows("Change")) learn(MORE);
  const disk = new MemoryDisk();
  const store = await Store.open(disk);
  store.bind(LOGIN.device);
  store.beginEpoch(3);
  store.note("login", JSON.stringify(LOGIN));
  for (const [place, operation] of operations.entries()) store.append(encode(operation), `nonce ${place}`);
  await store.durable();
  const [house, locks, name] = [new House(), new Locks(), `background ${++names}`];
  const given: SendingOptions = { url: "http://learn.example/", name, disk: async () => disk, fetch: house.fetch as typeof fetch, locks: locks as unknown as Pick<LockManager, "request"> };
  return { house, disk, locks, name, send: (more = {}) => sendUnsent({ ...given, ...more }), opened: () => Store.open(disk) };
}

test("what is unsent is sent in its order, and the page finds it as committed", async () => {
  const { house, locks, send, opened } = await left(say("one"), say("two"), say("three"));
  assert.deepEqual(await send(), { ending: "sent", decided: 3 });
  assert.deepEqual([...house.decided.keys()], [1, 2, 3]);
  const store = await opened();
  assert.equal(store.mutations.size, 0);
  assert.deepEqual([...store.settled.values()].map(({ number, echo }) => [number, echo]), [[1, 101], [2, 102], [3, 103]]);
  assert.deepEqual((store.noted("outcomes") as unknown[][]).map(([nonce, code, value]) => [nonce, code, value]), [["nonce 0", 0, 101], ["nonce 1", 0, 102], ["nonce 2", 0, 103]]);
  assert.equal(locks.held.size, 0);
});

test("where nothing is unsent nothing is asked, and where nobody is logged in neither", async () => {
  const { house, disk, send, opened } = await left();
  assert.deepEqual(await send(), { ending: "sent", decided: 0 });
  const store = await opened();
  forget(store);
  await store.durable();
  assert.equal((await send()).ending, "signed-out");
  assert.deepEqual(house.asked, []);
  assert.ok(disk.rows.size <= 1, "nothing of the person before is here");
});

test("an answer that was lost is asked for again under the same numbers, by another waking or by a page", async () => {
  const { house, send, opened } = await left(say("one"), say("two"));
  house.meanwhile = (round) => {
    if (round === 2) throw new TypeError("the network is gone");
  };
  assert.deepEqual(await send(), { ending: "later", decided: 0 });
  assert.deepEqual([...(await opened()).mutations.values()].map(({ number }) => number), [1, 2]);
  house.meanwhile = () => undefined;
  assert.deepEqual(await send(), { ending: "sent", decided: 2 });
  assert.equal(house.decided.size, 2);
});

test("a page that has the socket is not disturbed", async () => {
  const { house, locks, name, send } = await left(say("one"));
  locks.held.add(`educonnect/${name}/socket`);
  const page = new BroadcastChannel(`educonnect/${name}`);
  const sending = send();
  setTimeout(() => page.postMessage({ kind: "who", from: "page" }), 20);
  assert.equal((await sending).ending, "page");
  assert.deepEqual(house.asked, []);
  page.close();
});

test("a page that comes meanwhile gets the lock at once, with everything that was not answered", async () => {
  const { house, locks, name, send, opened } = await left(say("one"));
  const page = new BroadcastChannel(`educonnect/${name}`);
  let released = () => undefined as void;
  // The answer comes never: only the page's wish ends it.
  house.meanwhile = (round) => {
    if (round < 2) return undefined;
    page.postMessage({ kind: "who", from: "page" });
    return new Promise<void>((go) => (released = go));
  };
  const fetcher = (input: unknown, init: RequestInit = {}) => {
    const cut = new Promise<never>((_, reject) => init.signal!.addEventListener("abort", () => reject(new DOMException("cut", "AbortError"))));
    return Promise.race([house.fetch(input, init), cut]);
  };
  assert.equal((await send({ fetch: fetcher as typeof fetch })).ending, "page");
  assert.equal(locks.held.size, 0);
  assert.deepEqual([...(await opened()).mutations.values()].map(({ number }) => number), [1]);
  released();
  page.close();
});

test("a token that is over is renewed, and the newer one is on the disk before it is used", async () => {
  const { house, send, opened } = await left(say("one"));
  house.token = "expired meanwhile";
  assert.equal((await send()).ending, "sent");
  assert.deepEqual(house.asked, ["sync", "auth/refresh", "sync", "sync"]);
  assert.equal((JSON.parse((await opened()).noted("login") as string) as typeof LOGIN).refresh_token, "r2");
});

test("a session that was ended sends nothing, loses nothing, and is not tried again by itself", async () => {
  const { house, send, opened } = await left(say("one"));
  house.token = "of another session";
  house.refresh = "over";
  assert.equal((await send()).ending, "signed-out");
  assert.equal((await opened()).mutations.size, 1);
});

test("a restored database and a copied store are left to a page, with everything as it was", async () => {
  const restored = await left(say("one"));
  restored.house.epoch = 4;
  assert.equal((await restored.send()).ending, "page");
  assert.equal((await restored.opened()).epoch, 3);
  const copied = await left(say("one"));
  const store = await copied.opened();
  store.number([[1, 1]]);
  await store.durable();
  copied.house.lastNumber = 40;
  assert.equal((await copied.send()).ending, "page");
  for (const { opened } of [restored, copied]) assert.equal((await opened()).mutations.size, 1);
});

test("what is refused for good is a failure in the page, what is refused for now waits", async () => {
  const { house, send, opened } = await left(say("one"), say("two"), say("three"));
  house.refusals.set(1, Code.FORBIDDEN);
  house.refusals.set(2, Code.UNAVAILABLE);
  assert.deepEqual(await send(), { ending: "later", decided: 1 });
  const store = await opened();
  assert.deepEqual(store.unapplied().map(({ key, code }) => [key, code]), [[1, Code.FORBIDDEN]]);
  assert.equal(store.mutations.size, 2);
  assert.equal(house.decided.has(2), false);
});

test("a server that is busy is asked another time, one that does not want this one's is not", async () => {
  for (const [status, ending] of [[503, "later"], [429, "later"], [403, "page"]] as const) {
    const { house, send } = await left(say("one"));
    house.status = status;
    assert.equal((await send()).ending, ending, String(status));
  }
});

test("without room on the disk nothing is sent that has no number there", async () => {
  const { house, disk, send, opened } = await left(say("one"));
  const write = disk.write.bind(disk);
  disk.write = async (rows) => {
    if ([...rows.keys()].some((name) => name.startsWith("m/"))) throw new DiskFull("full");
    return write(rows);
  };
  assert.equal((await send()).ending, "page");
  assert.equal(house.decided.size, 0);
  disk.write = write;
  assert.equal((await opened()).mutations.size, 1);
});

test("one waking sends so many bytes and no more, and the rest another time", async () => {
  const { house, send, opened } = await left(...Array.from({ length: 40 }, (_, n) => say(`${n} ${"x".repeat(1000)}`)));
  assert.equal((await send({ bytesMax: 10_000 })).ending, "later");
  const first = house.decided.size;
  assert.ok(first > 5 && first < 25, String(first));
  for (let n = 0; n < 5 && (await opened()).mutations.size; n++) await send({ bytesMax: 10_000 });
  assert.equal(house.decided.size, 40);
});

test("of a document's updates the page learns what became of them, and what is behind them is sent all the same", async () => {
  const update: Operation = { type: "Update", document: 30, generation: 1, update: Uint8Array.of(0, 0), checksum: 0 };
  const { house, send, opened } = await left(update, say("behind it"));
  assert.deepEqual(await send(), { ending: "page", decided: 1 });
  assert.equal(house.decided.size, 2);
  assert.deepEqual([...(await opened()).mutations.values()].map(({ number, operation }) => [number, operation[1]]), [[1, 88]]);
});

test("what concerns more than a conversation is asked for by the page", async () => {
  const { send, opened } = await left({ type: "Join", space: 20 }, { type: "Reopen", conflict: 4 });
  await send();
  const store = await opened();
  assert.ok(store.noted("overview due") && store.noted("doubted"));
});

test("the browser is told to wake the worker again where another time may do, and only then", async () => {
  const waits: Promise<unknown>[] = [];
  const listeners = new Map<string, (event: unknown) => void>();
  let ending: Sending["ending"] = "later";
  answerSyncs({ addEventListener: (type, listener) => void listeners.set(type, listener) }, async () => ({ ending, decided: 0 }));
  const wake = (tag: string) => listeners.get("sync")!({ tag, waitUntil: (what: Promise<unknown>) => waits.push(what) });
  wake("somebody else's");
  assert.equal(waits.length, 0);
  wake(UNSENT);
  await assert.rejects(waits[0]!);
  for (ending of ["sent", "page", "signed-out"] as const) {
    wake(UNSENT);
    await waits.at(-1);
  }
  assert.ok(listeners.has("periodicsync"));
});

test("a page asks for a waking once each time that something waits without a session, and when it goes out of sight with something unsent", async () => {
  const asked: string[] = [];
  const registration = { sync: { register: async (tag: string) => void asked.push(tag) } } as unknown as ServiceWorkerRegistration;
  let tell = (_: Partial<Status>) => undefined as void;
  const status = { value: {} as Status, subscribe: (listener: (value: Status) => void) => ((tell = (now) => listener((status.value = { ...status.value, ...now }))), () => undefined) };
  const document = Object.assign(new EventTarget(), { visibilityState: "visible" });
  Object.assign(globalThis, { document });
  const off = sendInBackground({ status }, registration);
  tell({ state: "online", pending: 3 });
  tell({ state: "waiting", pending: 0 });
  assert.deepEqual(asked, []);
  for (let n = 1; n < 4; n++) tell({ pending: n });
  assert.deepEqual(asked, [UNSENT]);
  tell({ state: "online", pending: 0 });
  tell({ state: "connecting", pending: 1 });
  assert.equal(asked.length, 2);
  document.visibilityState = "hidden";
  document.dispatchEvent(new Event("visibilitychange"));
  assert.equal(asked.length, 3);
  tell({ state: "online", pending: 0 });
  document.dispatchEvent(new Event("visibilitychange"));
  assert.equal(asked.length, 3, "nothing waits");
  off();
  status.value = { ...status.value, pending: 1 };
  document.dispatchEvent(new Event("visibilitychange"));
  assert.equal(asked.length, 3, "nobody follows any more");
  Object.assign(globalThis, { document: undefined });
});
