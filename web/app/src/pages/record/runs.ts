/**
 * What two texts have in common, and from that what was taken out and put in. Pure.
 *
 *     before, after ─lines─▶ runs ─▶ same │ changed ─words─▶ same, out, in
 *
 * The longest run first, then what is before and behind it, as the Python client does it (client/three_way.py over difflib): both propose the
 * same merged text, and tests compare them.
 *
 * Invariant: what is not `in`, put together, is the text before; what is not `out` is the text after.
 */

/** A run of parts that are the same: where it begins in either, and how many there are. */
export type Run = readonly [at: number, atOther: number, length: number];

export interface Mark {
  readonly kind: "same" | "out" | "in";
  readonly text: string;
}

/** Comparing takes time with the square of the words: longer ones than this are shown as a whole. */
export const WORDS_MAX = 1000;
const LETTER = /[\p{L}\p{N}]/u;
const WORD = /[\p{L}\p{M}\p{N}_]+|\s+|[^\p{L}\p{M}\p{N}_\s]/gu;

/** A text's lines, each with its end. */
export function linesOf(text: string): string[] {
  return text.match(/[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$/g) ?? [];
}

export function wordsOf(text: string): string[] {
  return text.match(WORD) ?? [];
}

/** The same parts of both, in order. Equal texts match as a whole, whatever repeats in them. */
export function runsOf(one: readonly string[], other: readonly string[]): Run[] {
  if (one.length === other.length && one.every((part, at) => part === other[at])) return one.length ? [[0, 0, one.length]] : [];
  const places = new Map<string, number[]>();
  other.forEach((part, at) => {
    const found = places.get(part);
    if (found) found.push(at);
    else places.set(part, [at]);
  });
  const found: Run[] = [];
  const open: (readonly [number, number, number, number])[] = [[0, one.length, 0, other.length]];
  for (let range = open.pop(); range; range = open.pop()) {
    const [begin, end, beginOther, endOther] = range;
    const [at, atOther, length] = longest(one, places, begin, end, beginOther, endOther);
    if (!length) continue;
    found.push([at, atOther, length]);
    if (begin < at && beginOther < atOther) open.push([begin, at, beginOther, atOther]);
    if (at + length < end && atOther + length < endOther) open.push([at + length, end, atOther + length, endOther]);
  }
  found.sort((a, b) => a[0] - b[0]);
  return joined(found);
}

/** The longest run within a range; of several the first. */
function longest(one: readonly string[], places: ReadonlyMap<string, readonly number[]>, begin: number, end: number, beginOther: number, endOther: number): Run {
  let best: Run = [begin, beginOther, 0];
  let before = new Map<number, number>();
  for (let at = begin; at < end; at++) {
    const here = new Map<number, number>();
    for (const atOther of places.get(one[at]!) ?? []) {
      if (atOther < beginOther) continue;
      if (atOther >= endOther) break;
      const length = (before.get(atOther - 1) ?? 0) + 1;
      here.set(atOther, length);
      if (length > best[2]) best = [at - length + 1, atOther - length + 1, length];
    }
    before = here;
  }
  return best;
}

/** Neighbours are one run. */
function joined(runs: readonly Run[]): Run[] {
  const all: Run[] = [];
  for (const run of runs) {
    const last = all.at(-1);
    if (last && last[0] + last[2] === run[0] && last[1] + last[2] === run[1]) all[all.length - 1] = [last[0], last[1], last[2] + run[2]];
    else all.push(run);
  }
  return all;
}

/** What became of a text, by lines and, where those changed, by words. */
export function marksOf(before: string, after: string): Mark[] {
  const marks: Mark[] = [];
  between(linesOf(before), linesOf(after), (kind, out, put) => {
    if (kind === "same") return add(marks, "same", put);
    const words = [wordsOf(out), wordsOf(put)] as const;
    if (words.some((side) => side.length > WORDS_MAX)) return change(marks, out, put);
    between(...words, (kind, out, put) => (kind === "same" ? add(marks, "same", put) : change(marks, out, put)));
  });
  return marks;
}

function between(one: readonly string[], other: readonly string[], tell: (kind: "same" | "changed", out: string, put: string) => void): void {
  // Blank space and points alone hold nothing together: a row of single words out and in cannot be read.
  const runs = runsOf(one, other).filter(([at, , length]) => one.slice(at, at + length).some((part) => LETTER.test(part)));
  let [at, atOther] = [0, 0];
  for (const [begin, beginOther, length] of [...runs, [one.length, other.length, 0] as const]) {
    const [out, put] = [one.slice(at, begin).join(""), other.slice(atOther, beginOther).join("")];
    if (out || put) tell("changed", out, put);
    if (length) tell("same", "", one.slice(begin, begin + length).join(""));
    [at, atOther] = [begin + length, beginOther + length];
  }
}

function change(marks: Mark[], out: string, put: string): void {
  add(marks, "out", out);
  add(marks, "in", put);
}

function add(marks: Mark[], kind: Mark["kind"], text: string): void {
  const last = marks.at(-1);
  if (!text) return;
  if (last?.kind === kind) marks[marks.length - 1] = { kind, text: last.text + text };
  else marks.push({ kind, text });
}
