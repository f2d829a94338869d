/** The cursors with which a ticket is shown, as few numbers. */
import { BadFrame } from "./errors";
import { Code, type Cursor } from "./protocol";

/** The numbers of `Resume.cursors`: each stream less the one before it, then the position. */
export function packCursors(cursors: readonly Cursor[]): number[] {
  let before = 0;
  return cursors.flatMap(({ stream, seq }) => {
    const pair = [stream - before, seq];
    before = stream;
    return pair;
  });
}

/** The cursors. Throws `BadFrame` for what is none, or comes twice. */
export function unpackCursors(packed: readonly number[]): Cursor[] {
  const cursors: Cursor[] = [];
  const seen = new Set<number>();
  let stream = 0;
  for (let place = 0; place < packed.length; place += 2) {
    stream += packed[place]!;
    const seq = packed[place + 1] ?? -1;
    if (!(stream >= 1 && Number.isSafeInteger(stream) && seq >= 0 && Number.isSafeInteger(seq)) || seen.has(stream)) {
      throw new BadFrame(Code.INVALID, `the cursor at place ${place / 2} is none`);
    }
    seen.add(stream);
    cursors.push({ stream, seq });
  }
  return cursors;
}
