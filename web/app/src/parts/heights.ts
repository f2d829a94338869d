/**
 * How tall the rows of a long list are, of which few are drawn: where each begins, and which is at a place.
 *
 *     measured 61 │ guessed 48 │ measured 84 …      summed by sixty-fours, so both answers cost a few hundred additions among ten thousand
 *
 * A row's height is kept under its name, so rows that come in front of others change nothing about those.
 */
const FIRST_GUESS_PX = 56;
const BLOCK = 64;

export class Heights {
  private readonly known = new Map<number, number>();
  private names: readonly number[] = [];
  private row = new Float64Array(0);
  private sums = new Float64Array(0);
  private measured = 0;

  get length(): number {
    return this.names.length;
  }

  /** A row that nobody has measured is as tall as the others are on average. */
  private get guess(): number {
    return this.known.size ? Math.round(this.measured / this.known.size) : FIRST_GUESS_PX;
  }

  /** These rows stand where `gone` rows stood from `from` on; the others are as they were. */
  splice(from: number, gone: number, names: readonly number[]): void {
    const { guess, row: before } = this;
    const row = new Float64Array(before.length - gone + names.length);
    row.set(before.subarray(0, from));
    row.set(before.subarray(from + gone), from + names.length);
    for (let n = 0; n < names.length; n++) row[from + n] = this.known.get(names[n]!) ?? guess;
    const sums = new Float64Array(Math.ceil(row.length / BLOCK));
    for (let n = 0; n < row.length; n++) sums[Math.floor(n / BLOCK)]! += row[n]!;
    this.names = [...this.names.slice(0, from), ...names, ...this.names.slice(from + gone)];
    [this.row, this.sums] = [row, sums];
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
    this.sums[Math.floor(place / BLOCK)]! += px - this.row[place]!;
    this.row[place] = px;
  }

  /** How far down a row begins; of `length`, where the last one ends. */
  top(place: number): number {
    const block = Math.floor(place / BLOCK);
    let sum = 0;
    for (let n = 0; n < block; n++) sum += this.sums[n]!;
    for (let n = block * BLOCK; n < place; n++) sum += this.row[n]!;
    return sum;
  }

  /** The row that is so far down; above all of them the first one, below them the last one. */
  at(px: number): number {
    let block = 0;
    for (; block < this.sums.length - 1 && this.sums[block]! <= px; block++) px -= this.sums[block]!;
    let place = block * BLOCK;
    for (; place < this.length - 1 && this.row[place]! <= px; place++) px -= this.row[place]!;
    return Math.max(0, Math.min(place, this.length - 1));
  }
}
