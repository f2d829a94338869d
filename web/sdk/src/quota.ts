/**
 * The disk has no room: what the server has, too, is given up, and the batch is tried again.
 *
 *     batch refused ─▶ conversations keep their newest few ─▶ records of what comes last in the order of streams ─▶ what was acknowledged long ago
 *                      the first of them that gives something up; it is gone from the disk before the batch is tried again
 *
 * A browser counts what a batch writes against the room there is before it: what a batch takes away makes room for the next one only.
 *
 * Invariant: what has no outcome is never given up: mutations, what was refused and not seen, files that wait, what is unsent of a document,
 * and a person's own records, with their drafts.
 */
import type { Core } from "./core";
import { DiskFull } from "./errors";
import { bounds } from "./rooms";
import type { Store } from "./store";

/** Messages of a conversation that stay, from then on and until the next start. */
const MESSAGES_LEAST = 20;
/** Acknowledged mutations that stay, in case the database is restored. */
const SETTLED_LEAST = 256;

/** True: something was given up. False: it is another trouble, or there is nothing more to give up. */
export async function makeRoom(core: Core, error: unknown): Promise<boolean> {
  if (!(error instanceof DiskFull)) return false;
  const { exchange, rooms, store } = core;
  if (bounds.kept > MESSAGES_LEAST) {
    bounds.kept = MESSAGES_LEAST;
    const found = await giveUp(store, () => {
      for (const stream of rooms.keys()) store.note(`room/${stream}`, undefined);
    });
    for (const room of rooms.values()) room.keep();
    if (found) return true;
  }
  if (await giveUp(store, () => void exchange.keeping?.makeRoom())) return true;
  return giveUp(store, () => {
    const oldest = [...store.settled.keys()].slice(0, -SETTLED_LEAST);
    for (const key of oldest) {
      store.settled.delete(key);
      store.put(`s/${key}`, null);
    }
  });
}

/** What `act` takes away is gone from the disk before anything else is written. False: it took nothing. */
async function giveUp(store: Store, act: () => void): Promise<boolean> {
  const others = store.dirty;
  const mine = (store.dirty = new Map());
  act();
  store.dirty = new Map([...others, ...mine]);
  const gone = [...mine].filter(([, row]) => !row);
  if (gone.length) await store.disk.write(new Map(gone));
  return gone.length > 0;
}
