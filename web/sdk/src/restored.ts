/**
 * After a restore: is what this store holds as decided still decided, and by this store?
 *
 *     another epoch ─▶ ask again, under their numbers, the newest that were decided ─┬─ known ─────────▶ all before them is there, too
 *                                                                                   └─ NUMBER_REUSED ─▶ somebody else speaks as this device
 *
 * As client/restored.py, which says why.
 *
 * Invariant: until it is answered nothing else is sent, nothing that comes is taken, and the store knows nothing of the new epoch.
 */
import { encode, type Heard } from "./codec";
import { DeviceCopied } from "./errors";
import { entry, type Entry } from "./ledger";
import type { Mutations } from "./mutations";
import { Code, RETRY, type Raw, type Welcome } from "./protocol";
import type { After } from "./questions";
import { readChange } from "./record_store";
import { backoffMs } from "./session_machine";
import type { Settled, Store } from "./store";

/** So many are asked about: nobody does the same as somebody else so often in a row. */
const ASKED = 16;
export const RESTORED = "restored";
const NAMELESS = "the database was restored, and what this decided may have another number now: look at the list and decide again";
/** Claim, Resolve, Reopen, Release, Discard: they name something by a number that the server gave when it came about. */
const NAMING: readonly number[] = [19, 20, 21, 24, 25];

/** The newest kept mutations that a database that knows `lastNumber` of this device's should have, in order of their numbers. */
export function newestSettled(store: Store, lastNumber: number): Settled[] {
  const known = [...store.settled.values()].filter((kept) => kept.number > 0 && kept.number <= lastNumber);
  return known.sort((a, b) => a.number - b.number).slice(-ASKED);
}

/** The database is back at an earlier time, when `lastNumber` was the last one decided. What was settled since is asked for again, in the
 *  order of asking; what is undecided is frozen anew, changes with base 0. What names something by a number is refused: that number may
 *  be another one's now. */
export function restore(store: Store, mutations: Mutations, lastNumber: number): void {
  const { ledger } = mutations;
  ledger.cut();
  const forgotten = [...store.settled.values()].filter((kept) => kept.number > lastNumber || (!kept.number && readChange(kept.operation)));
  askAgain(store, forgotten.map((kept) => kept.key));
  // In the order in which all were asked for.
  ledger.waiting = [...forgotten.map((kept) => entry(kept.key, kept.operation)), ...ledger.waiting].sort((a, b) => a.key - b.key);
  const nameless: Entry[] = [];
  const refrozen: [number, Raw][] = [];
  for (const one of [...ledger.sent.values(), ...ledger.waiting]) {
    if (one.number && one.number <= lastNumber) continue;
    if (NAMING.includes(one.operation[1] ?? 0)) {
      nameless.push(one);
      continue;
    }
    one.operation = withoutBase(one.operation);
    one.number = 0;
    one.noted = false;
    refrozen.push([one.key, one.operation]);
  }
  store.freezeAgain(refrozen);
  ledger.waiting = ledger.waiting.filter((one) => !nameless.includes(one));
  mutations.decide(nameless.map((one) => ({ key: one.key, code: Code.CONFLICT, value: 0, detail: NAMELESS })));
  store.lastNumber = lastNumber;
}

/** Settled mutations that a restored database has forgotten are open again: under their keys, without numbers. */
function askAgain(store: Store, keys: readonly number[]): void {
  for (const key of keys) {
    const kept = store.settled.get(key)!;
    store.settled.delete(key);
    store.put(`s/${key}`, null);
    store.keep({ key, operation: kept.operation, number: 0, nonce: "" });
  }
}

/** The same change, by somebody who knows no version. */
function withoutBase(operation: Raw): Raw {
  const change = readChange(operation);
  return change?.base ? encode({ ...change, base: 0 }) : operation;
}

export class Doubt {
  private readonly open: Map<number, Settled>;
  private failures = 0;
  private due = true;

  constructor(
    newest: readonly Settled[],
    readonly welcome: Welcome,
    private readonly wake: () => void,
    private readonly after: After,
    private readonly spread: () => number,
  ) {
    this.open = new Map(newest.map((kept) => [kept.number, kept]));
  }

  /** The questions, if they are to be sent now; what it returns counts as sent. */
  take(): Uint8Array[] {
    if (!this.due) return [];
    this.due = false;
    return [...this.open.values()].map(({ number, operation }) => encode({ type: "Mutate", number, operation }));
  }

  /** Takes a frame; true once nothing is in doubt. Throws `DeviceCopied` where a number is another mutation's. */
  hear(frame: Heard): boolean {
    if (frame.type === "Done") this.open.delete(frame.number);
    else if (frame.type === "DoneRun") frame.values.forEach((_, place) => this.open.delete(frame.first + place));
    else if (frame.type === "Refused" && this.open.has(frame.number)) {
      if (frame.code === Code.NUMBER_REUSED) throw new DeviceCopied(`mutation ${frame.number} of a restored database is another one: ${frame.detail}`);
      if ((RETRY[frame.code] ?? "no") === "no") this.open.delete(frame.number);
      else if (!this.due) {
        this.after(Math.max(frame.wait_ms, backoffMs(++this.failures, this.spread())), () => {
          this.due = true;
          this.wake();
        });
      }
    }
    return !this.open.size;
  }
}
