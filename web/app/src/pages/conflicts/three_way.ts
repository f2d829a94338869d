/**
 * Two people changed one text: what both can have, and where somebody must choose. Pure.
 *
 *     common ┬─ mine ───┐ parts that both left alone hold the texts together; between them:
 *            └─ theirs ─┴─▶ one side changed ─▶ that side's · both the same ─▶ it · both differently ─▶ a `Clash`, tried again word by word
 *
 * As client/three_way.py, with which tests compare it.
 *
 * Invariant: merging with an unchanged side gives the other; swapping the sides swaps them in the clashes and changes nothing else.
 */
import type { Value } from "../../../../sdk/src/protocol";
import { linesOf, runsOf, wordsOf, WORDS_MAX } from "../record/runs";

/** Both sides changed this part, differently. */
export interface Clash {
  readonly common: string;
  readonly mine: string;
  readonly theirs: string;
}

export type Piece = string | Clash;

/** The merged text in pieces; neighbouring text is one. */
export function mergeText(common: string, mine: string, theirs: string): Piece[] {
  const pieces: Piece[] = [];
  for (const piece of merged(linesOf(common), linesOf(mine), linesOf(theirs))) {
    if (typeof piece === "string") put(pieces, piece);
    else {
      const words = [wordsOf(piece.common), wordsOf(piece.mine), wordsOf(piece.theirs)] as const;
      const isSmall = words.every((side) => side.length <= WORDS_MAX);
      for (const part of isSmall ? merged(...words) : [piece]) put(pieces, part);
    }
  }
  return pieces;
}

function put(pieces: Piece[], piece: Piece): void {
  const last = pieces.at(-1);
  if (typeof piece === "string" && typeof last === "string") pieces[pieces.length - 1] = last + piece;
  else if (piece !== "") pieces.push(piece);
}

function* merged(common: readonly string[], mine: readonly string[], theirs: readonly string[]): Generator<Piece> {
  let [at, atMine, atTheirs] = [0, 0, 0];
  for (const [begin, beginMine, beginTheirs, length] of untouched(common, mine, theirs)) {
    const part = (side: readonly string[], from: number, to: number) => side.slice(from, to).join("");
    yield decided(part(common, at, begin), part(mine, atMine, beginMine), part(theirs, atTheirs, beginTheirs));
    yield part(common, begin, begin + length);
    [at, atMine, atTheirs] = [begin + length, beginMine + length, beginTheirs + length];
  }
}

function decided(common: string, mine: string, theirs: string): Piece {
  if (mine === theirs || mine === common) return theirs;
  return theirs === common ? mine : { common, mine, theirs };
}

/** Where all three have the same, in order: begin in each, and length. The last one is empty, at the end of all. */
function* untouched(common: readonly string[], mine: readonly string[], theirs: readonly string[]): Generator<[number, number, number, number]> {
  const [ours, others] = [runsOf(common, mine), runsOf(common, theirs)];
  let [i, j] = [0, 0];
  for (let [one, other] = [ours[0], others[0]]; one && other; [one, other] = [ours[i], others[j]]) {
    const [beginA, atA, lengthA] = one;
    const [beginB, atB, lengthB] = other;
    const [begin, end] = [Math.max(beginA, beginB), Math.min(beginA + lengthA, beginB + lengthB)];
    // Blank space alone holds nothing together: words on both sides of it were changed by two people, who had better look.
    if (begin < end && common.slice(begin, end).some((part) => part.trim())) yield [begin, atA + begin - beginA, atB + begin - beginB, end - begin];
    if (beginA + lengthA < beginB + lengthB) i++;
    else j++;
  }
  yield [common.length, mine.length, theirs.length, 0];
}

export function isSame(one: Value | undefined, other: Value | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** A value that loses nothing of either side; undefined: there is none. */
export function proposal(common: Value | undefined, mine: Value | undefined, theirs: Value | undefined): Value | undefined {
  if (mine === undefined || isSame(mine, theirs) || isSame(mine, common)) return theirs;
  if (theirs === undefined || isSame(theirs, common)) return mine;
  return Array.isArray(common) && Array.isArray(mine) && Array.isArray(theirs) ? mergedList(common, mine, theirs) : undefined;
}

/** Without what either took out, with what either put in. */
function mergedList(common: readonly unknown[], mine: readonly unknown[], theirs: readonly unknown[]): Value {
  const kept = theirs.filter((one) => mine.includes(one) || !common.includes(one));
  return [...kept, ...mine.filter((one) => !common.includes(one) && !kept.includes(one))] as Value;
}
