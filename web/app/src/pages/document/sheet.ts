/**
 * A text area bound to the paper: what is typed in it is found by comparing, what comes is put in without moving the cursor.
 *
 *     typed, spoken, pasted, corrected ─input─▶ what differs ─▶ paper          paper ─ steps ─▶ setRangeText, which keeps the selection
 *
 * It is the browser's own text area because every keyboard, spelling aid and screen reader knows how to write in one. Behind it lies the same
 * text once more, unseen, which makes it as high as it has to be and says where the others' marks belong.
 *
 * Invariant: outside of an input event the area's value is `paper.shown`.
 */
import type { Paper, Step } from "./paper";

/** Where somebody else is: an index, or -1 where that is not known. */
export interface Mark {
  readonly user: number;
  readonly name: string;
  readonly index: number;
}

/** A text that is longer has a height of its own and no marks in it: to lay it out twice at every key takes too long on a phone. */
export const LARGE = 60_000;
const PAUSE_MS = 2_000;

export class Sheet {
  private composing = false;
  private pause: ReturnType<typeof setTimeout> | undefined;
  private marks: readonly Mark[] = [];
  private readonly gone = new AbortController();
  onSelect: () => void = () => undefined;

  constructor(
    private readonly area: HTMLTextAreaElement,
    private readonly back: HTMLElement,
    private readonly paper: Paper,
  ) {
    const { signal } = this.gone;
    paper.onSteps = (steps, fresh) => this.put(steps, fresh);
    paper.onChange = () => this.draw();
    area.value = paper.shown;
    area.addEventListener("input", () => this.typed(), { signal });
    area.addEventListener("compositionstart", () => this.compose(), { signal });
    area.addEventListener("compositionend", () => this.composed(), { signal });
    area.addEventListener("blur", () => this.composed(), { signal });
    area.addEventListener("beforeinput", (event) => this.before(event), { signal });
    area.addEventListener("keydown", (event) => this.key(event), { signal });
    document.addEventListener("selectionchange", () => document.activeElement === area && this.onSelect(), { signal });
    this.draw();
  }

  close(): void {
    this.gone.abort();
    clearTimeout(this.pause);
    this.composed();
    this.paper.onSteps = this.paper.onChange = () => undefined;
  }

  // What is typed

  private typed(): void {
    const { value, selectionEnd } = this.area;
    const change = difference(this.paper.shown, value, selectionEnd);
    if (change) this.paper.replace(change.at, change.removed, change.inserted);
    if (this.composing) this.compose();
    this.onSelect();
  }

  /** A keyboard puts a word together: if the area were written to now, it would begin anew. Not for ever, for some do it all the time. */
  private compose(): void {
    this.composing = true;
    this.paper.hold();
    clearTimeout(this.pause);
    this.pause = setTimeout(() => this.composed(), PAUSE_MS);
  }

  private composed(): void {
    if (!this.composing) return;
    this.composing = false;
    clearTimeout(this.pause);
    this.typed();
    this.paper.release();
  }

  /** The area's own undo would take back what others wrote. */
  private before(event: InputEvent): void {
    if (event.inputType === "historyUndo") this.undo(event);
    else if (event.inputType === "historyRedo") this.redo(event);
  }

  private key(event: KeyboardEvent): void {
    if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
    const key = event.key.toLowerCase();
    if (key === "z" && !event.shiftKey) this.undo(event);
    else if (key === "y" || key === "z") this.redo(event);
  }

  undo(event?: Event): void {
    event?.preventDefault();
    this.paper.undo();
  }

  redo(event?: Event): void {
    event?.preventDefault();
    this.paper.redo();
  }

  // What comes

  private put(steps: readonly Step[], fresh: boolean): void {
    const { area } = this;
    if (fresh) {
      area.value = this.paper.shown;
      return this.draw();
    }
    let at = 0;
    for (const { retain = 0, delete: removed = 0, insert = "" } of steps) {
      at += retain;
      if (!removed && !insert) continue;
      area.setRangeText(insert, at, at + removed, "preserve");
      at += insert.length;
    }
  }

  // What lies behind

  /** Shows where the others are. */
  show(marks: readonly Mark[]): void {
    this.marks = marks;
    this.draw();
  }

  private draw(): void {
    const { shown } = this.paper;
    const large = shown.length > LARGE;
    this.back.parentElement?.classList.toggle("large", large);
    if (large) return this.back.replaceChildren();
    const nodes: (Node | string)[] = [];
    let from = 0;
    for (const { user, name, index } of this.marks.filter((one) => one.index >= 0).sort((a, b) => a.index - b.index)) {
      nodes.push(shown.slice(from, index), markOf(user, name));
      from = index;
    }
    // The last line counts also where nothing is in it.
    nodes.push(`${shown.slice(from)}\u200B`);
    this.back.replaceChildren(...nodes);
  }
}

const HUES = 8;

function markOf(user: number, name: string): HTMLElement {
  const mark = document.createElement("span");
  mark.className = `mark hue-${user % HUES}`;
  mark.dataset.name = name;
  return mark;
}

/** What was taken out and put in, where the cursor stands at `caret` now; undefined: nothing. Letters of two halves stay whole. */
export function difference(before: string, after: string, caret: number): { readonly at: number; readonly removed: number; readonly inserted: string } | undefined {
  if (before === after) return undefined;
  // What is after the cursor is as it was, mostly: of `aa` that became `aaa` this says which one is new.
  const tail = after.length - caret;
  let end = tail <= before.length && before.endsWith(after.slice(caret)) ? tail : 0;
  const most = Math.min(before.length, after.length) - end;
  let at = 0;
  while (at < most && before[at] === after[at]) at++;
  while (end < Math.min(before.length, after.length) - at && before[before.length - 1 - end] === after[after.length - 1 - end]) end++;
  if (at && isHalf(before, after, at)) at--;
  if (end && isHalf(before, after, before.length - end, after.length - end)) end--;
  return { at, removed: before.length - end - at, inserted: after.slice(at, after.length - end) };
}

/** Whether a place is in the middle of a letter of two halves. */
function isHalf(before: string, after: string, at: number, place = at): boolean {
  const inside = (text: string, index: number) => text.charCodeAt(index) >= 0xdc00 && text.charCodeAt(index) < 0xe000;
  return inside(before, at) || inside(after, place);
}
