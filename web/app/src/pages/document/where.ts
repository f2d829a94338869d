/** Where people are in a document, in few bytes: a version, the length of the first place, both ends of what they selected. */
import type { Paper } from "./paper";

const VERSION = 1;
const BYTES_MAX = 512;

export function writeWhere(paper: Paper, start: number, end: number): Uint8Array {
  const [first, second] = [paper.placeOf(start), paper.placeOf(end)];
  if (2 + first.length + second.length > BYTES_MAX || first.length > 255) return new Uint8Array([VERSION, 0]);
  return new Uint8Array([VERSION, first.length, ...first, ...second]);
}

/** The index at which somebody writes; -1: they are here, and nobody knows where. */
export function readWhere(paper: Paper, data: Uint8Array): number {
  const length = data[1] ?? 0;
  if (data[0] !== VERSION || !length) return -1;
  return paper.indexOf(data.subarray(2 + length)) ?? -1;
}
