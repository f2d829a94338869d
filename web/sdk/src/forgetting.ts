/**
 * A store is another person's.
 *
 * Invariant: it is one step: what a killed page leaves is the store before it, or after it.
 */
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
