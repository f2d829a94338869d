/**
 * What is done to a store when it is another person's, or its mutations are no longer decided.
 *
 * Invariant: each is one step: what a killed page leaves is the store before it, or after it.
 */
import type { Raw } from "./protocol";
import type { Store } from "./store";

/** Forgets everything: what is kept is one person's. */
export function forget(store: Store): void {
  const { cursors, failures, mutations, notes, settled, unclaimed } = store;
  const rows = [...rowNames(store), ...store.dirty.keys()];
  for (const map of [cursors, mutations, settled, failures, notes, unclaimed]) map.clear();
  store.keeper?.clear(false);
  store.device = store.epoch = store.lastNumber = store.serial = 0;
  for (const name of rows) store.put(name, null);
  store.putFacts();
}

function* rowNames({ cursors, failures, keeper, mutations, settled, unclaimed, written }: Store): Iterable<string> {
  const maps = { c: cursors, m: mutations, s: settled, u: failures, n: written };
  for (const [kind, map] of Object.entries(maps)) for (const key of map.keys()) yield `${kind}/${key}`;
  yield* keeper?.names() ?? unclaimed.keys();
}

/** Settled mutations that a restored database has forgotten are open again: under their keys, without numbers. */
export function askAgain(store: Store, keys: readonly number[]): void {
  for (const key of keys) {
    const kept = store.settled.get(key)!;
    store.settled.delete(key);
    store.put(`s/${key}`, null);
    store.keep({ key, operation: kept.operation, number: 0, nonce: "" });
  }
}

/** Gives mutations that no server has decided other bytes and no number. */
export function freezeAgain(store: Store, changes: readonly (readonly [number, Raw])[]): void {
  for (const [key, operation] of changes) store.keep({ ...store.mutations.get(key)!, operation, number: 0 });
}
