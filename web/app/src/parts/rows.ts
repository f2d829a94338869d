/**
 * The rows of a long list that are drawn: those in sight and some beyond.
 *
 *     room, as tall as all rows are        going up, the rows hang from below: what comes above them moves none
 *       ┆  rows that are drawn  ┆          going down, they stand on what is above
 *
 * Each is a root of its own, so that one more costs one row and no look at the others. Of elements it has as few as can be.
 *
 * Invariant: drawn are the rows from `from` up to `to`, in their order; who was at one that is gone is at the list.
 */
import { render, type ComponentChild } from "preact";

interface Line {
  readonly name: number;
  readonly li: HTMLElement;
}

export class Rows {
  from = 0;
  to = 0;
  /** Which end of them stays where it is while others turn out to be of another height than was thought. */
  side: "top" | "bottom" = "top";
  private lines: readonly Line[] = [];

  constructor(
    private readonly list: HTMLElement,
    private readonly box: HTMLElement,
  ) {}

  /** The name of the first one that is drawn; undefined: there is none. */
  get first(): number | undefined {
    return this.lines[0]?.name;
  }

  /** Draws these rows and no others. `again`: also those that are drawn already, since something of them may be another. */
  draw(from: number, to: number, nameOf: (place: number) => number, row: (place: number) => ComponentChild, again: boolean): void {
    const names: number[] = [];
    for (let place = from; place < to; place++) names.push(nameOf(place));
    const wanted = new Set(names);
    const held = new Map<number, Line>();
    for (const line of this.lines) {
      if (wanted.has(line.name)) held.set(line.name, line);
      else this.drop(line);
    }
    let next = this.list.firstElementChild;
    this.lines = names.map((name, n) => {
      const line = held.get(name) ?? { name, li: document.createElement("li") };
      if (again || !held.has(name)) render(row(from + n), line.li);
      if (line.li === next) next = next.nextElementSibling;
      else this.list.insertBefore(line.li, next);
      return line;
    });
    [this.from, this.to] = [from, to];
  }

  private drop({ li }: Line): void {
    const isHeld = li.contains(document.activeElement);
    li.remove();
    render(null, li);
    if (isHeld) this.box.focus({ preventScroll: true });
  }

  /** Tells the height of each that is drawn and for which it is wanted. */
  measure(isWanted: (place: number) => boolean, tell: (place: number, px: number) => void): void {
    this.lines.forEach(({ li }, n) => {
      if (isWanted(this.from + n)) tell(this.from + n, li.getBoundingClientRect().height);
    });
  }

  clear(): void {
    for (const { li } of this.lines) render(null, li);
    this.lines = [];
  }
}
