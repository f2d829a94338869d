/**
 * How mutations leave: changes to records side by side as chunks, everything else one by one.
 *
 *     Change Change Change  Say  Change
 *     └──────Chunk───────┘ Mutate Mutate        one alone is shorter as a `Mutate`
 *
 * As client/parcels.py and protocol/chunks.py.
 *
 * Invariant: what `wrap` returns carries the entries' numbers and bytes exactly.
 */
import { encode } from "./codec";
import type { Entry } from "./ledger";
import { Writer } from "./msgpack";
import { alone } from "./mutations";
import { CHUNK_CHANGES_MAX, type Chunk, type Raw, type Run } from "./protocol";
import { readChange } from "./record_store";

/** What a `Mutate` frame adds to its operation. */
const FRAME_BYTES = 12;
const CHUNK_HEAD_BYTES = 24;
const RUN_HEAD_BYTES = 16;

/** How many bytes an entry adds behind another one; at most. */
export function weigh(one: Entry, before?: Entry): number {
  if (!isChange(one)) return one.operation.length + FRAME_BYTES;
  // An item leaves out its stream, entity and tag, and says its time in no more bytes than the change did.
  return one.operation.length + RUN_HEAD_BYTES + (before && isChange(before) ? 0 : CHUNK_HEAD_BYTES);
}

function isChange(one: Entry): boolean {
  return one.operation[1] === 18;
}

/** The frames that carry these entries, in order. */
export function wrap(entries: readonly Entry[]): Uint8Array[] {
  const frames: Uint8Array[] = [];
  let together: Entry[] = [];
  const close = () => {
    if (together.length > 1) frames.push(encode(packChunk(together[0]!.number, together.map((one) => one.operation))));
    else if (together.length) frames.push(alone(together[0]!));
    together = [];
  };
  for (const one of entries) {
    const last = together.at(-1);
    if (last && !(isChange(one) && one.number === last.number + 1 && together.length < CHUNK_CHANGES_MAX)) close();
    if (isChange(one)) together.push(one);
    else frames.push(alone(one));
  }
  close();
  return frames;
}

/** One chunk of these changes, numbered from `number` on. */
export function packChunk(number: number, changes: readonly Raw[]): Chunk {
  const runs: (Run & { changes: Raw[] })[] = [];
  let at = 0;
  let before = 0;
  changes.map((raw) => readChange(raw)!).forEach((change, place) => {
    if (!place) at = before = change.at;
    let run = runs.at(-1);
    if (run?.stream !== change.stream || run.entity !== change.entity) {
      runs.push((run = { stream: change.stream, entity: change.entity, changes: [] }));
    }
    const item = new Writer();
    item.array(change.gone ? 5 : change.base ? 4 : 3);
    item.write(change.key);
    item.write(change.at - before);
    item.raw(change.fields!);
    if (change.base || change.gone) item.write(change.base!);
    if (change.gone) item.write(true);
    run.changes.push(item.take());
    before = change.at;
  });
  return { type: "Chunk", number, at, runs };
}
