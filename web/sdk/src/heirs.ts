/**
 * A store that goes on as another device: what became of the mutations that it sent as the one before?
 *
 *     copied store ─▶ new device ─Inherit(old device, numbers, digests)─▶ Inherited: had an effect, or never will ─▶ numbered anew
 *
 * Asked over HTTP before the new device opens its first socket, so nothing of the session has to know of it. The old device is ended by the
 * question: nothing of it can still arrive. Two copies may have used one number for different things, so each number goes with the digest of
 * its bytes. As client/heirs.py.
 *
 * Invariant: until all of it is answered nothing else is sent, and the store still says whose numbers its mutations have.
 */
import { blake2b } from "./blake2b";
import { encode } from "./codec";
import { ServerFault } from "./errors";
import type { Mutations } from "./mutations";
import { Code, INHERIT_MAX, RETRY, type Settlement } from "./protocol";
import { rest } from "./rarely";
import type { Kept, Store } from "./store";
import type { SyncDoor } from "./sync_door";

// In one script with the session, not beside it: build.mjs says why.
export { Core } from "./core";
export { SyncDoor } from "./sync_door";

const LOOK = "sent as another device; look whether it is there";

/** Of an operation's bytes, 64 bits, signed. */
export function digestOf(operation: Uint8Array): bigint {
  const digest = blake2b(operation, 8);
  return new DataView(digest.buffer, digest.byteOffset).getBigInt64(0);
}

/** Asks, and settles or frees each. Rejected as `SyncDoor.round` is; then all of it is asked anew. */
export async function inherit(store: Store, mutations: Mutations, door: Pick<SyncDoor, "round">): Promise<void> {
  const before = store.noted("heir") as number;
  const sent = [...store.mutations.values()].filter((one) => one.number);
  const told: (Settlement & { readonly key: number })[] = [];
  for (let at = 0; at < sent.length; at += INHERIT_MAX) told.push(...(await ask(door, before, sent.slice(at, at + INHERIT_MAX))));
  mutations.decide(told.map(({ key, code, value, detail }) => ({ key, code, value, detail: detail || (code ? LOOK : "") })));
  // Numbers of the device before mean nothing under this one.
  for (const { key } of told) {
    const kept = store.settled.get(key);
    if (kept) store.putSettled({ ...kept, number: 0 });
  }
  store.freezeAgain(sent.filter((one) => store.mutations.has(one.key)).map((one) => [one.key, one.operation] as const));
  store.note("heir", undefined);
  rest()!.becameAnother(mutations);
  await store.durable();
}

async function ask(door: Pick<SyncDoor, "round">, device: number, piece: readonly Kept[]): Promise<(Settlement & { readonly key: number })[]> {
  const digests = piece.map(({ number, operation }) => ({ number, digest: digestOf(operation) as unknown as number }));
  // In whichever epoch: what a restored database has forgotten was never sent, as far as it goes.
  const [, [answer]] = await door.round(0, [encode({ type: "Inherit", id: 1, device, sent: digests })]);
  if (answer?.type === "Inherited") return answer.settled.flatMap((one) => piece.filter(({ number }) => number === one.number).map(({ key }) => ({ ...one, key })));
  if (answer?.type !== "Failed") throw new ServerFault(`${answer?.type} where Inherited belongs`);
  if (RETRY[answer.code]) throw new ServerFault(answer.detail);
  // Not a device of one's own: nothing of it will be asked for again.
  return piece.map(({ key, number }) => ({ key, number, code: answer.code || Code.FORBIDDEN, value: 0, detail: answer.detail }));
}
