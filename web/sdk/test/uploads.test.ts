import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryDisk } from "../src/memory_store";
import type { Inside } from "../src/parts";
import { readFields } from "../src/records";
import type { Operation } from "../src/protocol";
import { Store } from "../src/store";
import { part } from "../src/uploads";

const STREAM = 7;
const SAID = { stream: STREAM, text: "look", replyTo: 0, mentions: [] };
const settle = () => new Promise((resolve) => setTimeout(resolve, 5));

async function until(wanted: () => boolean, what: string): Promise<void> {
  for (let n = 0; n < 2_000; n++) {
    if (wanted()) return;
    await settle();
  }
  assert.fail(what);
}

/** As much of tus as the part speaks. `cut`: whether the next request breaks, after the server has kept `share` of its bytes. */
class Server {
  readonly files = new Map<number, { bytes: Uint8Array; size: number; name: string; state: number }>();
  readonly asked: string[] = [];
  cut: () => number = () => 1;
  why = "";
  /** So many parts are not taken; with the last of them the upload is gone. */
  busy = 0;
  private made = 0;

  fetcher: typeof fetch = async (where, init) => {
    const { method = "GET", headers, body } = init as { method?: string; headers: Record<string, string>; body?: Blob };
    const id = Number(String(where).split("/uploads")[1]!.slice(1));
    this.asked.push(method);
    const share = this.cut();
    const file = this.files.get(id);
    if (method === "PATCH" && this.busy) {
      if (!--this.busy) this.files.delete(id);
      return new Response("{}", { status: 503, headers: { "retry-after": "0" } });
    }
    if (method === "PATCH" && file) {
      if (Number(headers["upload-offset"]) !== file.bytes.length) return new Response("{}", { status: 409 });
      const more = new Uint8Array(await body!.arrayBuffer());
      file.bytes = Uint8Array.from([...file.bytes, ...more.subarray(0, Math.floor(more.length * share))]);
    }
    if (share < 1) throw new TypeError("cut");
    if (method === "POST") {
      const made = ++this.made;
      this.files.set(made, { bytes: new Uint8Array(), size: Number(headers["upload-length"]), name: "a.bin", state: 1 });
      return new Response(null, { status: 201, headers: { location: `/api/v1/uploads/${made}` } });
    }
    if (!file) return new Response("{}", { status: 404 });
    if (method === "PATCH") return new Response(null, { status: 204, headers: { "upload-offset": String(file.bytes.length) } });
    if (method === "DELETE") return new Response(null, { status: 204 });
    const state = file.bytes.length < file.size ? 1 : this.why ? 5 : 3;
    const told = { id, state, name: file.name, bytes: file.size, done: file.bytes.length, media_type: "application/octet-stream", sha256: "00", width: 0, height: 0, placeholder: "", why: this.why };
    return new Response(JSON.stringify(told));
  };
}

interface Stage {
  readonly outbox: ReturnType<typeof part>;
  readonly posts: Operation[];
  readonly mutations: { pending: number };
  readonly store: Store;
}

async function stage(server: Server, disk = new MemoryDisk(), posts: Operation[] = [], ask: (method: string, route: string) => Promise<unknown> = async () => null): Promise<Stage> {
  const store = await Store.open(disk);
  const mutations = { pending: 0 };
  let seed = 3;
  const inside = {
    options: { url: "http://house", fetcher: server.fetcher, files: "", world: { wall: () => Date.now(), spread: () => (seed = (seed * 7) % 11) / 11, later: (_: number, act: () => void) => (setTimeout(act, 0), () => undefined) } },
    store,
    exchange: { mutations },
    me: () => ({ user: 1, device: 1, name: "a", displayName: "A" }),
    now: () => 1_000,
    submit: async (operation: Operation) => posts.push(operation),
    ask,
    token: async () => "token",
    touch: () => undefined,
    keepLoaded: () => undefined,
  } as unknown as Inside;
  const outbox = part(inside);
  outbox.begin?.();
  outbox.online?.(true);
  return { outbox, posts, mutations, store };
}

function bytes(size: number): Blob {
  return new Blob([Uint8Array.from({ length: size }, (_, place) => (place * 31) % 251)]);
}

const add = ({ outbox }: Stage, files: { name: string; blob: Blob }[], nonce = "n1") => outbox.methods!.add!(SAID, files, nonce) as Promise<number>;

test("a file arrives whole and once, and its message follows it, whatever is cut", async () => {
  for (const seed of [1, 2, 3, 5, 8]) {
    const server = new Server();
    let chance = seed;
    server.cut = () => ((chance = (chance * 1_103_515_245 + 12_345) % 2 ** 31) % 3 === 0 ? (chance % 7) / 8 : 1);
    const here = await stage(server);
    const blob = bytes(300_000);
    await add(here, [{ name: "a.bin", blob }]);
    const whole = [...server.files.values()].filter((one) => one.bytes.length === one.size);
    assert.equal(whole.length, 1);
    assert.deepEqual(whole[0]!.bytes, new Uint8Array(await blob.arrayBuffer()));
    assert.equal(here.posts.length, 1);
    assert.equal(here.outbox.pending!(), 0);
  }
});

test("nothing of a file is sent while a mutation waits", async () => {
  const server = new Server();
  const here = await stage(server);
  here.mutations.pending = 1;
  const sent = add(here, [{ name: "a.bin", blob: bytes(10) }]);
  await settle();
  assert.deepEqual(server.asked, []);
  assert.equal(here.outbox.outgoing!(STREAM)!.messages[0]!.state, "waiting");
  here.mutations.pending = 0;
  here.outbox.decided!(1, new Uint8Array(), 0, 0, "");
  await sent;
});

test("a message that waits is there after a restart; where its bytes were in memory alone, it says that they are gone", async () => {
  const server = new Server();
  const disk = new MemoryDisk();
  const before = await stage(server, disk);
  const blob = bytes(200_000);
  server.cut = () => (server.files.size ? 0.5 : 1);
  void add(before, [{ name: "a.bin", blob }]).catch(() => undefined);
  await until(() => server.asked.includes("PATCH"), "begun");
  before.outbox.online!(false);
  await before.store.durable();
  server.cut = () => 1;
  const after = await stage(server, disk, before.posts);
  assert.equal(after.outbox.outgoing!(STREAM)!.messages.length, 1);
  assert.equal(after.outbox.pending!(), 1);
  await until(() => after.outbox.outgoing!(STREAM)!.messages[0]?.state === "failed", "said");
  assert.match(after.outbox.outgoing!(STREAM)!.messages[0]!.failed, /not on this device/);
});

test("a message is said once, however often it is asked for by the same name", async () => {
  const here = await stage(new Server());
  const files = [{ name: "a.bin", blob: bytes(5) }];
  const both = await Promise.all([add(here, files), add(here, files)]);
  assert.equal(both[0], both[1]);
  assert.equal(await add(here, files), both[0]);
  assert.equal(here.posts.length, 1);
});

test("a refused file says why, holds nothing else up, and may be tried again or called off", async () => {
  const server = new Server();
  const here = await stage(server);
  server.why = "it is damaged";
  const refused = add(here, [{ name: "a.bin", blob: bytes(5) }], "n1");
  const failed = () => here.outbox.outgoing!(STREAM)!.messages.filter((one) => one.state === "failed");
  await until(() => failed().length === 1, "refused");
  assert.match(failed()[0]!.failed, /a\.bin: it is damaged/);
  server.why = "";
  await add(here, [{ name: "b.bin", blob: bytes(5) }], "n2");
  await here.outbox.methods!.again!(failed()[0]!.key);
  assert.ok((await refused) > 0);
  server.why = "no";
  const third = add(here, [{ name: "c.bin", blob: bytes(5) }], "n3");
  await until(() => failed().length === 1, "refused again");
  await here.outbox.methods!.drop!(failed()[0]!.key);
  await assert.rejects(third, /called off/);
  assert.equal(here.posts.length, 2);
});

test("a server that cannot now is asked again; one that lost an upload gets it anew", async () => {
  const server = new Server();
  const here = await stage(server);
  server.busy = 3;
  assert.ok((await add(here, [{ name: "a.bin", blob: bytes(40_000) }])) > 0);
});

const LESSON = { community: 3, section: 9, version: 4, before: [77] };
const addToLesson = ({ outbox }: Stage) => outbox.methods!.add!({ stream: STREAM, text: "", replyTo: 0, mentions: [], lesson: LESSON }, [{ name: "a.bin", blob: bytes(10) }, { name: "b.bin", blob: bytes(20) }], "n9") as Promise<number>;
const waits = ({ outbox }: Stage) => outbox.readers!.lesson!(STREAM, LESSON.section) as { readonly state: string; readonly failed: string; readonly key: number }[];

test("files of a lesson are in the library before its section names them, beside those that it had", async () => {
  const server = new Server();
  const asked: string[] = [];
  let chance = 0;
  const here = await stage(server, new MemoryDisk(), [], async (method, route) => {
    asked.push(`${method} ${route}`);
    if (chance++ < 2) throw new TypeError("cut");
    assert.equal(here.posts.length, 0);
    return null;
  });
  const sent = addToLesson(here);
  assert.deepEqual(here.outbox.outgoing!(STREAM)!.messages, [], "they are no message");
  assert.equal(waits(here).length, 1);
  await sent;
  assert.deepEqual([...new Set(asked)], ["PUT communities/3/library/1", "PUT communities/3/library/2"]);
  const [change] = here.posts as unknown as [{ type: string; key: number; base: number; fields: Uint8Array }];
  assert.deepEqual([here.posts.length, change.type, change.key, change.base], [1, "Change", 9, 4]);
  assert.deepEqual(readFields(change.fields).get(5), [77, 1, 2]);
  assert.deepEqual(waits(here), []);
});

test("files that a library does not take are said to be refused, and wait for what their sender does", async () => {
  const here = await stage(new Server(), new MemoryDisk(), [], async () => Promise.reject(Object.assign(new Error("no"), { status: 403, detail: "you may not write here" })));
  void addToLesson(here).catch(() => undefined);
  await until(() => waits(here)[0]?.state === "failed", "said");
  assert.match(waits(here)[0]!.failed, /may not write/);
  await here.outbox.methods!.drop!(waits(here)[0]!.key);
  assert.deepEqual([waits(here), here.posts], [[], []]);
});

test("files of a lesson that wait are there after a restart", async () => {
  const server = new Server();
  const disk = new MemoryDisk();
  const before = await stage(server, disk);
  before.mutations.pending = 1;
  void addToLesson(before).catch(() => undefined);
  await settle();
  await before.store.durable();
  const after = await stage(server, disk);
  assert.equal(waits(after).length, 1);
  assert.equal(after.outbox.pending!(), 1);
});
