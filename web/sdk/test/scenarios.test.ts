import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, decodeFrame, decodePart, encode } from "../src/codec";
import { Exchange } from "../src/exchange";
import { keepRecords } from "../src/keeping";
import { MemoryDisk } from "../src/memory_store";
import { pack, unpack } from "../src/msgpack";
import type { ChangeItem, Chunk, Fields } from "../src/protocol";
import { bringRest } from "../src/rarely";
import { RecordStore } from "../src/record_store";
import { writeFields } from "../src/records";
import { SqliteDisk } from "../src/sqlite_store";
import { Store, type Disk } from "../src/store";
import type { Upkeep } from "../src/upkeep";
import { openPhone } from "./sqlite";
import { FORMS, json, packed, vectors, type Json } from "./vectors";

const { scenarios: SCENARIOS } = vectors("sync");
const T = 1_800_000_000;
const NAMES = new Map(
  FORMS.filter((line) => line.startsWith("c"))
    .map((line) => [Number(line.split(" ")[1]), line.split(" ")[0]!.replace(/^c~?/, "")]),
);

/** Plays a scenario's steps to one client, and is its server. */
class Player {
  private store!: Store;
  private client!: Exchange;
  private upkeep!: Upkeep;
  private connected = false;
  private uploads: Json[] = [];
  private asks: Json[] = [];
  private requests: Json[] = [];

  /** `disk`: what is kept; a restart opens it again. */
  constructor(private readonly disk: () => Promise<Disk>) {}

  async start(): Promise<void> {
    await bringRest();
    this.store = await Store.open(await this.disk());
    this.store.bind(7);
    this.client = new Exchange(this.store, { wall: () => T * 1000, spread: () => 0.5, later: () => () => undefined });
    this.client.readInbox(0);
    this.upkeep = keepRecords(this.store, new RecordStore(this.store), this.client);
    this.connected = false;
  }

  async play(step: Json): Promise<void> {
    const [[kind, what]] = Object.entries(step) as [[string, Json]];
    const { client, store } = this;
    if (kind === "put") {
      const fields = packed(what.fields) as unknown as Fields;
      client.mutations.submit(this.upkeep.replica.change(what.stream, what.entity, what.key, fields, what.gone, what.at), "").value.catch(() => undefined);
    } else if (kind === "connect") this.connect(what.last_number, what.epoch);
    else if (kind === "hears") {
      for (const frame of what) {
        client.hear(decodeFrame(pack(packed(frame.map((field: Json) => this.resolve(field))))));
        this.listen();
      }
    } else if (kind === "cut") {
      client.cut();
      this.connected = false;
    } else if (kind === "restart") {
      await store.durable();
      await this.start();
    } else if (kind === "uploads") {
      assert.deepEqual(this.uploads, what);
      this.uploads = [];
    } else if (kind === "asks") {
      for (const wanted of what) {
        const found = this.asks.some((asked) => JSON.stringify(asked.slice(0, wanted.length)) === JSON.stringify(wanted));
        assert.ok(found, `${JSON.stringify(wanted)} is not among ${JSON.stringify(this.asks)}`);
      }
      this.asks = [];
    } else if (kind === "asks_no") {
      assert.ok(!this.asks.some((asked) => asked[0] === what), what);
      this.asks = [];
    } else if (kind === "view") {
      const view = this.upkeep.replica.view(what.stream, what.entity, what.key);
      const exists = !view.gone && (view.version || view.fields.size);
      const seen = exists ? json(unpack(writeFields(view.fields))) : null;
      assert.deepEqual([seen, view.version, view.pending], [what.fields, what.version, what.pending]);
    } else if (kind === "cursor") {
      const [stream, seq] = what;
      assert.equal(client.streams.positions.cursor(stream), seq);
      assert.equal(store.cursors.get(stream), seq);
    } else if (kind === "pending") assert.equal(client.mutations.pending, what);
    else if (kind === "failed") assert.deepEqual(store.unapplied().map((one) => [json(unpack(one.operation)), one.code]), what);
    else assert.fail(`no such step: ${kind}`);
    this.listen();
  }

  /** As a session does: cursors with Hello, then what Welcome says of the epoch. */
  private connect(last_number: number, epoch: number): void {
    this.client.helloCursors();
    const reset = ![0, epoch].includes(this.client.epoch);
    const limits = { message_bytes_max: 65_536, in_flight_max: 256, follows_max: 500 };
    const times = { server_ms: T * 1000, heartbeat_s: 45, expires: T + 900 };
    this.client.welcome({ type: "Welcome", version: 1, session: 9, user: 5, inbox: 2, last_number, epoch, ...times, limits }, reset, 0);
    this.connected = true;
  }

  /** Takes all that the client has to say. */
  private listen(): void {
    for (let said = this.connected ? this.client.collect() : []; said.length; said = this.client.collect()) {
      for (const raw of said) {
        const [tag, id, ...fields] = json(unpack(raw)) as Json[];
        const name = NAMES.get(tag)!;
        if (name === "Chunk") this.expand(decode("c", raw) as Chunk);
        else if (name === "Mutate") this.uploads.push([id, fields[0]]);
        else {
          this.asks.push([name, ...fields]);
          this.requests.push([id, name, ...fields]);
        }
      }
    }
  }

  private expand({ number, at, runs }: Chunk): void {
    for (const { stream, entity, changes } of runs) {
      for (const raw of changes) {
        const item = decodePart<ChangeItem>("ChangeItem", raw);
        at += item.later;
        const { key, fields, base, gone } = item;
        this.uploads.push([number++, json(unpack(encode({ type: "Change", stream, entity, key, at, fields, base, gone })))]);
      }
    }
  }

  /** The id of the last such request. */
  private resolve(field: Json): Json {
    const wanted = field?.id_of;
    if (!wanted) return field;
    const found = this.requests.filter((one) => JSON.stringify(one.slice(1, 1 + wanted.length)) === JSON.stringify(wanted));
    assert.ok(found.length, `${JSON.stringify(wanted)} was never asked for`);
    return found.at(-1)[0];
  }
}

const DISKS: Readonly<Record<string, () => Promise<() => Promise<Disk>>>> = {
  memory: async () => {
    const disk = new MemoryDisk();
    return async () => disk;
  },
  sqlite: async () => {
    const phone = await openPhone();
    return () => SqliteDisk.open(phone);
  },
};

for (const { name, steps } of SCENARIOS) for (const [kind, open] of Object.entries(DISKS)) {
  test(`${name} (${kind})`, async () => {
    const player = new Player(await open());
    await player.start();
    for (const [at, step] of steps.entries()) {
      try {
        await player.play(step);
      } catch (error) {
        (error as Error).message = `step ${at}, ${JSON.stringify(step).slice(0, 300)}: ${(error as Error).message}`;
        throw error;
      }
    }
  });
}
