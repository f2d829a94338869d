/**
 * How a section's text is read: plain text as the server keeps it, with the marks that people write anyway. No HTML, from nobody.
 *
 *     lines ─▶ blocks: paragraph · list (-, *, 1.) · quote (>) · as it stands (between ```)        words ─▶ pieces: text · https link
 *
 * Invariant: every character that was written is in some block, but for the marks themselves; what looks like a tag is text.
 */
export type Block =
  | { readonly kind: "paragraph" | "quote" | "verbatim"; readonly text: string }
  | { readonly kind: "list"; readonly ordered: boolean; readonly first: number; readonly items: readonly string[] };

/** `link`: an address that may be opened. */
export interface Piece {
  readonly text: string;
  readonly link: boolean;
}

/** With the name of a language or without. */
const FENCE = /^\s*```\s*[A-Za-z0-9+-]*\s*$/;
const BULLET = /^\s*[-*•]\s+(.*)$/;
const NUMBERED = /^\s*(\d{1,4})[.)]\s+(.*)$/;
const QUOTED = /^\s*>\s?(.*)$/;
const LINK = /https?:\/\/[^\s<>"'`]+/g;
/** Signs that end a sentence and not an address. */
const ENDS = /[.,;:!?)\]}»”’…]+$/;

export function blocksOf(text: string): Block[] {
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  const blocks: Block[] = [];
  let at = 0;
  /** The lines from here on that are of one kind, each without its mark. */
  const run = (take: (line: string) => string | undefined): string[] => {
    const found: string[] = [];
    for (let one = take(lines[at] ?? ""); at < lines.length && one !== undefined; one = take(lines[++at] ?? "")) found.push(one);
    return found;
  };
  while (at < lines.length) {
    const line = lines[at]!;
    const numbered = NUMBERED.exec(line);
    if (!line.trim()) at++;
    else if (FENCE.test(line)) {
      at++;
      const inside = run((one) => (FENCE.test(one) ? undefined : one));
      at++;
      blocks.push({ kind: "verbatim", text: inside.join("\n") });
    } else if (BULLET.test(line)) blocks.push({ kind: "list", ordered: false, first: 1, items: run((one) => BULLET.exec(one)?.[1]) });
    else if (numbered) blocks.push({ kind: "list", ordered: true, first: Number(numbered[1]), items: run((one) => NUMBERED.exec(one)?.[2]) });
    else if (QUOTED.test(line)) blocks.push({ kind: "quote", text: run((one) => QUOTED.exec(one)?.[1]).join("\n") });
    else blocks.push({ kind: "paragraph", text: run((one) => (one.trim() && ![FENCE, BULLET, NUMBERED, QUOTED].some((mark) => mark.test(one)) ? one : undefined)).join("\n") });
  }
  return blocks;
}

export function piecesOf(text: string): Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  for (const { 0: found, index } of text.matchAll(LINK)) {
    const address = found.replace(ENDS, "");
    if (!isAddress(address)) continue;
    if (index > from) pieces.push({ text: text.slice(from, index), link: false });
    pieces.push({ text: address, link: true });
    from = index + address.length;
  }
  if (from < text.length) pieces.push({ text: text.slice(from), link: false });
  return pieces;
}

function isAddress(text: string): boolean {
  try {
    return new URL(text).host !== "";
  } catch {
    return false;
  }
}
