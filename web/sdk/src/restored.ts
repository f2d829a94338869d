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
import { Code, RETRY, type Welcome } from "./protocol";
import type { After } from "./questions";
import { backoffMs } from "./session_machine";
import type { Settled } from "./store";

/** So many are asked about: nobody does the same as somebody else so often in a row. */
export const ASKED = 16;

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
