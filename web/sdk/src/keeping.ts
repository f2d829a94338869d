/**
 * Records, as a part of a session: loaded right behind it, and with it what a restored database asks of a device.
 *
 *     RecordStore (rows of the store) ─▶ Replica ─▶ Upkeep ─keep─▶ Exchange
 *
 * Invariant: the rows are claimed once; another account's exchange gets a replica and an upkeep of its own over them.
 */
import { decodeOperation } from "./codec";
import type { Exchange } from "./exchange";
import * as parcels from "./parcels";
import type { Inside, Part } from "./parts";
import type { Fields } from "./protocol";
import { RecordStore } from "./record_store";
import { writeFields } from "./records";
import { Replica } from "./replica";
import type { Store } from "./store";
import { Upkeep } from "./upkeep";

// In one script with the session, not beside it: build.mjs says why.
export { Core } from "./core";

/** Gives an exchange what keeps records. */
export function keepRecords(store: Store, records: RecordStore, exchange: Exchange, wake = () => exchange.onWake()): Upkeep {
  const { mutations, overview, questions, streams } = exchange;
  const replica = new Replica(store, records);
  const upkeep = new Upkeep(store, records, replica, overview, mutations, streams, questions, wake);
  mutations.overlay = replica;
  mutations.parcels = parcels;
  exchange.keep(upkeep);
  return upkeep;
}

export function part(inside: Inside): Part {
  const { store } = inside;
  const records = new RecordStore(store);
  let upkeep!: Upkeep;

  /** Topics of a stream's records, and of all of them. */
  const touch = (stream: number) => {
    for (const topic of inside.watched()) if (topic.startsWith("records.") && topic.split("/")[1] === String(stream)) inside.touch(topic);
  };

  /** How many look at something of a stream. */
  const looks = new Map<number, number>();

  return {
    opened(_, [stream = 0], by) {
      const left = (looks.get(stream) ?? 0) + by;
      if (left) looks.set(stream, left);
      else looks.delete(stream);
      records.look(stream, left > 0);
    },
    begin() {
      upkeep = keepRecords(store, records, inside.exchange);
      upkeep.quotaBytes = inside.options.quotaBytes;
      upkeep.changed = () => inside.touch("records.conflicts", "status");
      upkeep.replica.changed = touch;
    },
    decided: () => inside.touch("records.failures", "records.unsent"),
    methods: {
      change: (stream: number, entity: number, key: number, fields: Fields, gone: boolean, nonce: string, base?: number) =>
        inside.submit(upkeep.replica.change(stream, entity, key, fields, gone, inside.now(), base), nonce),
      resolve: (conflict: number, version: number, choice: number, fields: Fields, nonce: string) =>
        inside.submit({ type: "Resolve", conflict, choice, version, at: inside.now(), fields: writeFields(fields) }, nonce),
    },
    readers: {
      list: (stream: number, entity: number) => upkeep.replica.list(stream, entity),
      one: (stream: number, entity: number, key: number) => upkeep.replica.view(stream, entity, key),
      kept: (stream: number) => ({ known: true, here: upkeep.isHere(stream) }),
      conflicts: () => upkeep.conflicts,
      failures: () => store.unapplied().map((one) => ({ ...one, operation: decodeOperation(one.operation) })),
      unsent: () => [...store.mutations.values()].map(({ key, operation }) => ({ key, operation: decodeOperation(operation) })),
    },
  };
}
