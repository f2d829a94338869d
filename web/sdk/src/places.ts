/**
 * Where one is: spaces and streams as the overview says, with what came and was read since.
 *
 * Invariant: what was read is as of the cursor of the inbox in the store; desk.ts keeps it so.
 */
import type { Places as View } from "./api";
import type { Spaces } from "./protocol";
import type { Store } from "./store";

/** The note of the inbox: notices, and how far one has read in which stream. */
export const DESK = "desk";

export class Places {
  readonly read: Map<number, number>;
  /** The last events of streams, by what came. */
  private readonly heads = new Map<number, number>();

  constructor(
    store: Store,
    private readonly changed: () => void,
  ) {
    const [, read] = (store.noted(DESK) ?? []) as unknown as [unknown, [number, number][] | undefined];
    this.read = new Map(read);
  }

  /** An event came in a stream. */
  heard(stream: number, seq: number): void {
    if (seq <= (this.heads.get(stream) ?? 0)) return;
    this.heads.set(stream, seq);
    this.changed();
  }

  /** The overview, with what came since. `unread`: how many messages of a stream are new to somebody who has read so far. */
  view(spaces: Spaces | undefined, unread: (stream: number, read: number) => number | undefined): View {
    return {
      spaces: (spaces?.spaces ?? []).map(({ space, kind, name, role, streams }) => ({
        space,
        kind,
        name,
        role,
        streams: streams.map(({ stream, kind, name, may_write: mayWrite, ...one }) => {
          const head = Math.max(one.head, this.heads.get(stream) ?? 0);
          const read = Math.max(one.read_upto, this.read.get(stream) ?? 0);
          return { stream, kind, name, head, read, unread: unread(stream, read) ?? Math.max(0, head - read), mayWrite };
        }),
      })),
      invitations: (spaces?.invitations ?? []).map(({ by_name: byName, ...one }) => ({ ...one, byName })),
      blocked: new Set(spaces?.blocked ?? []),
    };
  }
}
