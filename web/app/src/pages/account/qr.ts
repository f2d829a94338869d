/**
 * A QR code (ISO/IEC 18004), as a path of squares: bytes, error correction M, versions 1 to 20 (666 bytes).
 *
 *     text ─▶ bits ─▶ blocks, each with its Reed-Solomon remainder, interleaved ─▶ laid in columns of two, from the right ─▶ the best of eight masks
 *
 * Invariant: every module is either part of a pattern, which no mask touches, or a bit of the codewords.
 */

/** By version, from 1: remainder codewords of each block, and blocks, at level M (table 9 of the standard). */
const REMAINDERS = [10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26];
const BLOCKS = [1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16];
const LEVEL_M = 0;
const FORMAT_MASK = 0x5412;

const MASKS: readonly ((x: number, y: number) => number)[] = [
  (x, y) => (x + y) % 2,
  (_, y) => y % 2,
  (x) => x % 3,
  (x, y) => (x + y) % 3,
  (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2,
  (x, y) => ((x * y) % 2) + ((x * y) % 3),
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2,
];

/** Modules of a version that are no pattern, in bits. */
function roomBits(version: number): number {
  let bits = (16 * version + 128) * version + 64;
  if (version >= 2) {
    const marks = Math.floor(version / 7) + 2;
    bits -= (25 * marks - 10) * marks - 55;
  }
  return version >= 7 ? bits - 36 : bits;
}

/** Multiplies in the field of 256 elements that the standard uses. */
function times(a: number, b: number): number {
  let product = 0;
  for (let bit = 7; bit >= 0; bit--) {
    product = (product << 1) ^ ((product >> 7) * 0x11d);
    if ((b >> bit) & 1) product ^= a;
  }
  return product & 0xff;
}

/** Coefficients of the polynomial with the roots 1, 2, 4 …, without the leading one. */
function generator(degree: number): number[] {
  const found: number[] = Array.from({ length: degree }, (_, n) => (n === degree - 1 ? 1 : 0));
  let root = 1;
  for (let n = 0; n < degree; n++) {
    for (let k = 0; k < degree; k++) found[k] = times(found[k]!, root) ^ (found[k + 1] ?? 0);
    root = times(root, 2);
  }
  return found;
}

function remainder(data: readonly number[], divisor: readonly number[]): number[] {
  const rest = divisor.map(() => 0);
  for (const one of data) {
    const factor = one ^ rest.shift()!;
    rest.push(0);
    divisor.forEach((coefficient, n) => (rest[n]! ^= times(coefficient, factor)));
  }
  return rest;
}

/** The message in codewords, filled up; undefined where the version has no room for it. */
function codewords(text: Uint8Array, version: number): number[] | undefined {
  const room = Math.floor(roomBits(version) / 8) - REMAINDERS[version - 1]! * BLOCKS[version - 1]!;
  const bits: number[] = [];
  const put = (value: number, length: number) => {
    for (let bit = length - 1; bit >= 0; bit--) bits.push((value >> bit) & 1);
  };
  put(0b0100, 4);
  put(text.length, version < 10 ? 8 : 16);
  for (const one of text) put(one, 8);
  if (bits.length > room * 8) return undefined;
  put(0, Math.min(4, room * 8 - bits.length));
  put(0, (8 - (bits.length % 8)) % 8);
  const words: number[] = [];
  for (let n = 0; n < bits.length; n += 8) words.push(bits.slice(n, n + 8).reduce((sum, bit) => sum * 2 + bit, 0));
  for (let pad = 0xec; words.length < room; pad ^= 0xec ^ 0x11) words.push(pad);
  return words;
}

/** Cut into blocks, of which the last may be longer by one, each with its remainder, and dealt out in turns. */
function interleave(words: readonly number[], version: number): number[] {
  const count = BLOCKS[version - 1]!;
  const divisor = generator(REMAINDERS[version - 1]!);
  const short = Math.floor(words.length / count);
  const longOnes = words.length % count;
  const data: number[][] = [];
  for (let n = 0, at = 0; n < count; n++) {
    const length = short + (n >= count - longOnes ? 1 : 0);
    data.push(words.slice(at, at + length));
    at += length;
  }
  const rests = data.map((block) => remainder(block, divisor));
  const dealt = (blocks: readonly number[][], length: number) => Array.from({ length }, (_, n) => blocks.map((block) => block[n])).flat();
  return [...dealt(data, short + 1), ...dealt(rests, divisor.length)].filter((one) => one !== undefined);
}

/** A value with its remainder behind it, as formats and versions are written. */
function checked(value: number, divisor: number, length: number): number {
  let rest = value;
  for (let n = 0; n < length; n++) rest = (rest << 1) ^ ((rest >> (length - 1)) * divisor);
  return (value << length) | rest;
}

class Picture {
  readonly size: number;
  readonly dark: boolean[][];
  readonly isPattern: boolean[][];

  constructor(private readonly version: number) {
    this.size = version * 4 + 17;
    const empty = () => Array.from({ length: this.size }, () => Array.from({ length: this.size }, () => false));
    [this.dark, this.isPattern] = [empty(), empty()];
    this.drawPatterns();
  }

  private set(x: number, y: number, dark: boolean): void {
    if (x < 0 || y < 0 || x >= this.size || y >= this.size) return;
    this.dark[y]![x] = dark;
    this.isPattern[y]![x] = true;
  }

  private drawPatterns(): void {
    const { size, version } = this;
    for (let n = 0; n < size; n++) {
      this.set(6, n, n % 2 === 0);
      this.set(n, 6, n % 2 === 0);
    }
    for (const [x, y] of [[3, 3], [size - 4, 3], [3, size - 4]] as const) this.drawRings(x, y, 4, (ring) => ring !== 2 && ring !== 4);
    const places = this.marks();
    const last = places.length - 1;
    places.forEach((x, column) =>
      places.forEach((y, row) => {
        const isCorner = (column === 0 && (row === 0 || row === last)) || (column === last && row === 0);
        if (!isCorner) this.drawRings(x, y, 2, (ring) => ring !== 1);
      }),
    );
    this.drawFormat(0);
    if (version < 7) return;
    const bits = checked(version, 0x1f25, 12);
    for (let n = 0; n < 18; n++) {
      const [a, b, dark] = [size - 11 + (n % 3), Math.floor(n / 3), ((bits >> n) & 1) === 1];
      this.set(a, b, dark);
      this.set(b, a, dark);
    }
  }

  private drawRings(x: number, y: number, radius: number, isDark: (ring: number) => boolean): void {
    for (let dy = -radius; dy <= radius; dy++) for (let dx = -radius; dx <= radius; dx++) this.set(x + dx, y + dy, isDark(Math.max(Math.abs(dx), Math.abs(dy))));
  }

  /** Where the small marks' middles are, along both edges. */
  private marks(): number[] {
    if (this.version === 1) return [];
    const count = Math.floor(this.version / 7) + 2;
    const step = Math.ceil((this.version * 4 + 4) / (count * 2 - 2)) * 2;
    return [6, ...Array.from({ length: count - 1 }, (_, n) => this.size - 7 - (count - 2 - n) * step)];
  }

  private drawFormat(mask: number): void {
    const { size } = this;
    const bits = checked((LEVEL_M << 3) | mask, 0x537, 10) ^ FORMAT_MASK;
    const is = (n: number) => ((bits >> n) & 1) === 1;
    for (let n = 0; n < 15; n++) {
      this.set(8, n < 6 ? n : n < 8 ? n + 1 : size - 15 + n, is(n));
      this.set(n < 8 ? size - 1 - n : n < 9 ? 7 : 14 - n, 8, is(n));
    }
    this.set(8, size - 8, true);
  }

  /** Up and down in columns of two, from the right, past the upright line of the pattern. */
  lay(words: readonly number[]): void {
    let bit = 0;
    for (let right = this.size - 1; right >= 1; right -= 2) {
      if (right === 6) right = 5;
      const upward = ((right + 1) & 2) === 0;
      for (let n = 0; n < this.size; n++) {
        const y = upward ? this.size - 1 - n : n;
        for (const x of [right, right - 1]) {
          if (this.isPattern[y]![x]) continue;
          this.dark[y]![x] = (((words[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1) === 1;
          bit++;
        }
      }
    }
  }

  /** Applied twice it is gone again. */
  mask(number: number): void {
    const mask = MASKS[number]!;
    for (let y = 0; y < this.size; y++) for (let x = 0; x < this.size; x++) if (!this.isPattern[y]![x] && mask(x, y) === 0) this.dark[y]![x] = !this.dark[y]![x];
    this.drawFormat(number);
  }

  /** How hard it is to read: long runs, squares, what looks like a corner, and far from half dark. */
  penalty(): number {
    const { size, dark } = this;
    let sum = 0;
    const lines = [...dark, ...dark.map((_, x) => dark.map((row) => row[x]!))].map((line) => line.map((one) => (one ? "1" : "0")).join(""));
    for (const line of lines) {
      for (const [run] of line.matchAll(/0{5,}|1{5,}/g)) sum += run.length - 2;
      for (const _ of line.matchAll(/(?=10111010000|00001011101)/g)) sum += 40;
    }
    for (let y = 1; y < size; y++) {
      for (let x = 1; x < size; x++) if (dark[y]![x] === dark[y]![x - 1] && dark[y]![x] === dark[y - 1]![x] && dark[y]![x] === dark[y - 1]![x - 1]) sum += 3;
    }
    const share = dark.flat().filter(Boolean).length / (size * size);
    return sum + Math.floor(Math.abs(share - 0.5) * 20) * 10;
  }
}

/** The picture of a text as the path of an SVG; `size`: its modules along an edge. Throws `RangeError` for a text that is too long. */
export function drawQr(text: string): { readonly size: number; readonly path: string } {
  const raw = new TextEncoder().encode(text);
  for (let version = 1; version <= BLOCKS.length; version++) {
    const words = codewords(raw, version);
    if (!words) continue;
    const picture = new Picture(version);
    picture.lay(interleave(words, version));
    const penalties = MASKS.map((_, n) => (picture.mask(n), [picture.penalty(), picture.mask(n)][0]!));
    picture.mask(penalties.indexOf(Math.min(...penalties)));
    const squares = picture.dark.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : "")));
    return { size: picture.size, path: squares.join("") };
  }
  throw new RangeError(`a text of ${raw.length} bytes; allowed: 666`);
}
