/**
 * Links to files of messages: asked for together, for what is in sight, and again before their time is over.
 *
 *     look(stream, message) ─┬─ a moment ─▶ POST media/links {stream, messages ≤ 50} ─▶ each file's renditions
 *                            ╰─ who goes on scrolling within that moment asks for nothing
 *
 * Invariant: a message is asked for once at a time, however many look at it.
 */
import type { Client } from "../../../../sdk/src/api";
import { Cell } from "../../live";

const TOGETHER_MS = 150;
const MESSAGES_MAX = 50;
/** Before the end of a link another one is asked for. */
const SPARE_S = 60;
const HELD_MAX = 500;
/** A picture that nobody has made smaller yet is asked for again after so many milliseconds, and then twice as many. */
const AGAIN_MS = 1_500;
const AGAIN_MAX_MS = 60_000;

/** A rendition, and where it is. */
export interface Linked {
  readonly name: string;
  readonly media_type: string;
  readonly bytes: number;
  readonly width: number;
  readonly height: number;
  readonly url: string;
}

interface Answer {
  readonly until: number;
  readonly files: readonly { readonly message: number; readonly upload: number; readonly renditions: readonly Linked[] }[];
}

/** Of a message, by upload. Empty: they are on their way, or nobody has them. */
export type Links = ReadonlyMap<number, readonly Linked[]>;

interface Known {
  readonly cell: Cell<Links>;
  until: number;
  lookers: number;
  again: number;
  timer: ReturnType<typeof setTimeout> | undefined;
}

const known = new Map<string, Known>();
const wanted = new Map<number, Set<number>>();
let gathering: ReturnType<typeof setTimeout> | undefined;

function find(stream: number, message: number): Known {
  const name = `${stream}/${message}`;
  let one = known.get(name);
  if (!one) {
    known.set(name, (one = { cell: new Cell<Links>(new Map()), until: 0, lookers: 0, again: AGAIN_MS, timer: undefined }));
    if (known.size > HELD_MAX) for (const [old, { lookers }] of known) if (!lookers && known.size > HELD_MAX) known.delete(old);
  }
  return one;
}

export function linksOf(stream: number, message: number): Cell<Links> {
  return find(stream, message).cell;
}

/** Somebody looks at a message's files; what it returns ends that. */
export function look(client: Client, stream: number, message: number): () => void {
  const one = find(stream, message);
  if (one.lookers++ === 0 && one.until * 1000 < Date.now() + SPARE_S * 1000) want(client, stream, message);
  return () => {
    if (--one.lookers) return;
    clearTimeout(one.timer);
    wanted.get(stream)?.delete(message);
  };
}

/** What a link led to did not come: perhaps its time is over. */
export function askAgain(client: Client, stream: number, message: number): void {
  const one = find(stream, message);
  later(client, stream, message, one.again);
  one.again = Math.min(AGAIN_MAX_MS, one.again * 2);
}

function later(client: Client, stream: number, message: number, ms: number): void {
  const one = find(stream, message);
  clearTimeout(one.timer);
  one.timer = setTimeout(() => one.lookers > 0 && want(client, stream, message), ms);
}

function want(client: Client, stream: number, message: number): void {
  wanted.set(stream, (wanted.get(stream) ?? new Set()).add(message));
  gathering ??= setTimeout(() => {
    gathering = undefined;
    for (const [of, messages] of wanted) {
      const all = [...messages];
      for (let n = 0; n < all.length; n += MESSAGES_MAX) void ask(client, of, all.slice(n, n + MESSAGES_MAX));
    }
    wanted.clear();
  }, TOGETHER_MS);
}

async function ask(client: Client, stream: number, messages: readonly number[]): Promise<void> {
  let answer: Answer;
  try {
    answer = await client.ask<Answer>("POST", "media/links", { stream, messages });
  } catch {
    // No network, or too much at once: what is in sight is asked for again.
    for (const message of messages) askAgain(client, stream, message);
    return;
  }
  for (const message of messages) {
    const one = find(stream, message);
    const files = answer.files.filter((file) => file.message === message);
    one.until = answer.until;
    one.cell.set(new Map(files.map(({ upload, renditions }) => [upload, renditions])));
    if (files.some(({ renditions }) => !renditions.length)) askAgain(client, stream, message);
    else {
      one.again = AGAIN_MS;
      later(client, stream, message, Math.max(SPARE_S, answer.until - Date.now() / 1000 - SPARE_S) * 1000);
    }
  }
}
