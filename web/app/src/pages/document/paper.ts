/**
 * The document's content: one Yjs text, as what an editor shows and changes.
 *
 *     editor ─ replace ─▶ Text ─ update ─▶ Document (the SDK), on its way to everybody
 *            ◀─ delta ──── Text ◀─ apply ── what comes
 *
 * What is no letter (a picture that another editor put in) is shown as one sign, and so is a carriage return, which a text area would take
 * away: a place in what is shown is the same place in the text.
 *
 * Invariant: `shown` is the text as it stands, sign for sign.
 */
import { applyUpdate, createAbsolutePositionFromRelativePosition, createRelativePositionFromTypeIndex, decodeRelativePosition, Doc, encodeRelativePosition, encodeStateAsUpdate, mergeUpdates, transact, UndoManager, type Text } from "yjs";
import type { Hands } from "../../../../sdk/src/documents";

/** A change of the text, from its beginning on. */
export interface Step {
  readonly retain?: number;
  readonly delete?: number;
  readonly insert?: string;
}

const ROOT = "text";
const HEARD = "heard";
const HERE = "here";
/** So much is written at once; a longer insertion is several. */
const PIECE = 8_000;
const NO_LETTER = "\uFFFC";
const RETURN = /\r/g;

export class Paper implements Hands {
  private doc = new Doc();
  private text: Text = this.doc.getText(ROOT);
  private undoing: UndoManager | undefined;
  private held: Uint8Array[] | undefined;
  shown = "";
  /** Told each change that did not come from `replace`; `fresh`: it is all of the text. */
  onSteps: (steps: readonly Step[], fresh: boolean) => void = () => undefined;
  /** Told each update of what was written here. */
  onWritten: (update: Uint8Array) => void = () => undefined;
  /** Told of each change. */
  onChange: () => void = () => undefined;

  // The SDK's hands

  begin(pen: number): void {
    const before = this.shown.length;
    this.doc.destroy();
    this.doc = new Doc();
    this.doc.clientID = pen;
    this.text = this.doc.getText(ROOT);
    this.undoing = new UndoManager(this.text, { trackedOrigins: new Set([HERE]), captureTimeout: 700 });
    this.doc.on("update", (update: Uint8Array, origin: unknown) => origin === HEARD || this.onWritten(update));
    this.text.observe(({ delta }, { origin }) => this.follow(delta as readonly Given[], origin === HERE));
    this.held &&= [];
    this.shown = "";
    this.onSteps([{ delete: before }], true);
  }

  apply(updates: readonly Uint8Array[]): number {
    if (this.held) {
      this.held.push(...updates);
      return 0;
    }
    let broken = 0;
    const all = () => {
      for (const update of updates) {
        try {
          applyUpdate(this.doc, update, HEARD);
        } catch {
          // Nobody can apply it: the server sets it aside when it makes the document small.
          broken++;
        }
      }
    };
    transact(this.doc, all, HEARD, false);
    return broken;
  }

  read(updates: readonly Uint8Array[]): string {
    return textOf(updates);
  }

  merge(updates: readonly Uint8Array[]): Uint8Array {
    return mergeUpdates([...updates]);
  }

  state(): Uint8Array | undefined {
    return this.held ? undefined : encodeStateAsUpdate(this.doc);
  }

  // The editor's side

  /** What comes waits, while somebody is in the middle of a word that their keyboard puts together. */
  hold(): void {
    this.held ??= [];
  }

  release(): void {
    const { held } = this;
    this.held = undefined;
    if (held?.length) this.apply(held);
  }

  /** Takes so much out at a place, and puts this in. */
  replace(at: number, removed: number, inserted: string): void {
    let from = 0;
    do {
      let to = Math.min(from + PIECE, inserted.length);
      if (to < inserted.length && isHigh(inserted.charCodeAt(to - 1))) to--;
      const piece = inserted.slice(from, to);
      transact(this.doc, () => {
        if (removed && !from) this.text.delete(at, removed);
        if (piece) this.text.insert(at + from, piece);
      }, HERE);
      from = to;
    } while (from < inserted.length);
  }

  undo(): void {
    this.undoing?.undo();
  }

  redo(): void {
    this.undoing?.redo();
  }

  private follow(delta: readonly Given[], own: boolean): void {
    let at = 0;
    const parts: string[] = [];
    const steps: Step[] = delta.map((one) => {
      if (one.retain !== undefined) parts.push(this.shown.slice(at, (at += one.retain)));
      else if (one.delete !== undefined) at += one.delete;
      else {
        const insert = seen(one.insert);
        parts.push(insert);
        return { insert };
      }
      return one as Step;
    });
    parts.push(this.shown.slice(at));
    this.shown = parts.join("");
    if (!own) this.onSteps(steps, false);
    this.onChange();
  }

  // Where people are

  /** A place between two letters, so that it stays there whatever is written before it. */
  placeOf(index: number): Uint8Array {
    return encodeRelativePosition(createRelativePositionFromTypeIndex(this.text, index));
  }

  /** Where such a place is now; undefined: nowhere. */
  indexOf(place: Uint8Array): number | undefined {
    try {
      const found = createAbsolutePositionFromRelativePosition(decodeRelativePosition(place), this.doc);
      return found?.type === this.text ? Math.min(found.index, this.shown.length) : undefined;
    } catch {
      // Somebody else's bytes, of another kind.
      return undefined;
    }
  }

  close(): void {
    this.doc.destroy();
  }
}

interface Given {
  readonly retain?: number;
  readonly delete?: number;
  readonly insert?: unknown;
}

function seen(insert: unknown): string {
  return typeof insert === "string" ? insert.replace(RETURN, " ") : NO_LETTER;
}

function isHigh(code: number): boolean {
  return code >= 0xd800 && code < 0xdc00;
}

/** The text of a document that is made of these. */
export function textOf(updates: readonly Uint8Array[]): string {
  const doc = new Doc();
  for (const update of updates) {
    try {
      applyUpdate(doc, update);
    } catch {
      // As above: the others make the text.
      continue;
    }
  }
  const delta = doc.getText(ROOT).toDelta() as readonly Given[];
  return delta.map(({ insert }) => seen(insert)).join("");
}
