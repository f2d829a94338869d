/**
 * Documents in the tab that has the socket: what is here of each, what comes, what waits to be sent. Nothing here opens an update.
 *
 *     write ─▶ out ─ a few at once ─▶ Update ·· decided ─┬─ RELOAD, SLOWED ─▶ back in front, load, again
 *                                                        ╰─ never to be taken, or another generation ─▶ was ─▶ left, a text
 *     LoadDocument ─▶ state ─ Follow ─▶ tail ─ since ─▶ each tab's editor
 *
 * All of it is in the store, a row each, so that a document is there without a network, with what was written in it; the documents that
 * were last open are kept, in `KEPT_BYTES` together. As client/documents.py, where the editor and the socket are in one program.
 *
 * Invariant: what was written is in `out`, among the mutations, in the server's log, in `was`, or in a text of `left`.
 */
import type { Heard } from "./codec";
import { isPassing, itemOf, keptDocuments, PART, Shelf, updateOf, type Missing, type Standing } from "./document_shelf";
import type { Inside, Part } from "./parts";
import type { Raw } from "./protocol";

// In one script with the session, not beside it: build.mjs says why.
export { Core } from "./core";
export { unpackState } from "./document_shelf";

type Bytes = readonly Uint8Array[];

export function part(inside: Inside): Part {
  return new Documents(inside);
}

class Documents implements Part {
  private shelves = new Map<number, Shelf>();
  private readonly looked = new Set<number>();

  constructor(private readonly inside: Inside) {}

  readonly methods = {
    since: (stream: number, serial: number, upto: number): Missing => this.at(stream).since(serial, upto),
    /** Something written: added to the item `into` as `merged` where that still waits, else an item of its own. True: it was added. */
    write: (stream: number, generation: number, pen: number, no: number, update: Uint8Array, into: number, merged?: Uint8Array) =>
      this.at(stream).write({ id: 0, generation, pen, no, update }, into, merged),
    keep: (stream: number, serial: number, upto: number, state: Uint8Array) => this.at(stream).keep(serial, upto, state),
    was: (stream: number): Bytes => this.at(stream).was,
    leave: (stream: number, text: string) => this.at(stream).leave(text),
    dismiss: (stream: number) => this.at(stream).dismiss(),
    where: (stream: number, data: Uint8Array) => this.at(stream).say(data),
  };

  readonly readers = { open: (stream: number): Standing => this.at(stream).standing() };

  begin(): void {
    const { store } = this.inside;
    this.shelves = new Map();
    for (const kept of store.mutations.values()) {
      const update = updateOf(kept.operation);
      if (update) this.at(update.document).sent.set(kept.key, itemOf(update));
    }
    for (const failure of store.unapplied()) {
      const update = updateOf(failure.operation);
      if (update && isPassing(failure.code)) this.at(update.document).refuse(failure.key, itemOf(update), failure.code);
    }
    for (const [stream] of keptDocuments(this.inside)) if (store.noted(`doc/${stream}/out`)) this.at(stream).pump();
    for (const stream of this.looked) this.at(stream).look();
  }

  opened(_: string, [stream = 0]: readonly number[], by: 1 | -1): void {
    if (by > 0) {
      this.looked.add(stream);
      this.at(stream).look();
    } else {
      this.looked.delete(stream);
      this.at(stream).rest();
    }
  }

  online(is: boolean): void {
    for (const shelf of this.shelves.values()) {
      if (is) shelf.hurry();
      else shelf.cut();
    }
  }

  heard(frame: Heard): void {
    if (frame.type === "IsAware") this.shelves.get(frame.document)?.hear(frame.user, frame.data);
  }

  decided(key: number, operation: Raw, code: number, value: number): void {
    const update = updateOf(operation);
    if (!update) return;
    const shelf = this.at(update.document);
    if (code) shelf.refuse(key, shelf.sent.get(key) ?? itemOf(update), code);
    else shelf.committed(key, value);
  }

  private at(stream: number): Shelf {
    let shelf = this.shelves.get(stream);
    if (!shelf) this.shelves.set(stream, (shelf = new Shelf(this.inside, stream, this)));
    return shelf;
  }

  isLookedAt(stream: number): boolean {
    return this.looked.has(stream);
  }

  /** Something was decided: where nothing waits any more, this part need not be there from the start. */
  settle(): void {
    this.inside.keepLoaded(PART, [...this.shelves.values()].some((shelf) => shelf.own().length > 0));
  }
}
