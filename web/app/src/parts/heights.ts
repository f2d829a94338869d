/**
 * How tall the rows of a long list are, of which few are drawn: where each begins, and which is at a place.
 *
 *     measured 61 │ guessed 48 │ measured 84 …      a tree of sums: both answers cost a dozen steps among ten thousand rows
 *
 * A row's height is kept under its name, so rows that come in front of others change nothing about those.
 */
const FIRST_GUESS_PX = 56;

export class Heights {
  private readonly known = new Map<number, number>();
  private names: readonly number[] = [];
  private row = new Float64Array(0);
  private sums = new Float64Array(1);
  private measured = 0;

  get length(): number {
    return this.names.length;
  }

  /** A row that nobody has measured is as tall as the others are on average. */
  private get guess(): number {
    return this.known.size ? Math.round(this.measured / this.known.size) : FIRST_GUESS_PX;
  }

  /** These are the rows now, from the top. */
  arrange(names: readonly number[]): void {
    const { guess } = this;
    const size = names.length;
    const sums = new Float64Array(size + 1);
    const row = new Float64Array(size);
    for (let n = 0; n < size; n++) {
      row[n] = this.known.get(names[n]!) ?? guess;
      const place = n + 1;
      sums[place]! += row[n]!;
      const parent = place + (place & -place);
      if (parent <= size) sums[parent]! += sums[place]!;
    }
    [this.names, this.row, this.sums] = [names, row, sums];
  }

  /** Whether a row was measured. */
  knows(place: number): boolean {
    return this.known.has(this.names[place]!);
  }

  /** A row is so tall. */
  measure(place: number, px: number): void {
    const name = this.names[place]!;
    const before = this.known.get(name);
    this.measured += px - (before ?? 0);
    this.known.set(name, px);
    const more = px - this.row[place]!;
    if (!more) return;
    this.row[place] = px;
    for (let n = place + 1; n < this.sums.length; n += n & -n) this.sums[n]! += more;
  }

  /** How far down a row begins; of `length`, where the last one ends. */
  top(place: number): number {
    let sum = 0;
    for (let n = place; n > 0; n -= n & -n) sum += this.sums[n]!;
    return sum;
  }

  /** The row that is so far down; above all of them the first one, below them the last one. */
  at(px: number): number {
    let place = 0;
    for (let step = 2 ** Math.floor(Math.log2(Math.max(1, this.length))); step >= 1; step /= 2) {
      const next = place + step;
      if (next >= this.sums.length || this.sums[next]! > px) continue;
      place = next;
      px -= this.sums[next]!;
    }
    return Math.max(0, Math.min(place, this.length - 1));
  }
}
