/** Looks through what this device keeps of channels and conversations, where the server cannot be asked. */
import type { Client, Conversation, SpaceView } from "../../../../sdk/src/api";
import type { FoundMessage } from "../../../../sdk/src/protocol";
import { talks } from "../../parts/places";

const STREAMS_MAX = 60;
const FOUND_MAX = 50;
/** What is kept is there at once; a stream of which nothing is says nothing. */
const WAIT_MS = 400;
const BEFORE = 50;
const LENGTH = 180;

/** Letters without what is written above and below them, and for each the place of the one that it came from. */
function plain(text: string): { readonly letters: string; readonly places: readonly number[] } {
  let letters = "";
  const places: number[] = [];
  for (let place = 0; place < text.length; place++) {
    for (const one of text[place]!.normalize("NFKD").replace(/[\p{M}ـ]/gu, "").replace(/ى/g, "ي").replace(/ة/g, "ه").toLowerCase()) {
      letters += one;
      places.push(place);
    }
  }
  return { letters, places };
}

/** A text's pieces, every second one of them a word that was looked for; null where one of the words is not in it. */
export function excerpt(text: string, words: readonly string[]): readonly string[] | null {
  const { letters, places } = plain(text);
  const marks: [number, number][] = [];
  for (const word of words) {
    let at = letters.indexOf(word);
    if (at < 0) return null;
    for (; at >= 0; at = letters.indexOf(word, at + word.length)) marks.push([places[at]!, places[at + word.length - 1]! + 1]);
  }
  marks.sort((a, b) => a[0] - b[0]);
  const begin = Math.max(0, Math.min((marks[0]?.[0] ?? 0) - BEFORE, text.length - LENGTH));
  const end = Math.min(text.length, begin + LENGTH);
  const pieces = [begin ? "…" : ""];
  let at = begin;
  for (const [low, high] of marks) {
    if (low < at || high > end) continue;
    pieces[pieces.length - 1] += text.slice(at, low);
    pieces.push(text.slice(low, high), "");
    at = high;
  }
  pieces[pieces.length - 1] += text.slice(at, end) + (end < text.length ? "…" : "");
  return pieces;
}

/** What is kept with all of these words, or with words that begin or end with them, the newest first. `ended`: nobody waits for it any more. */
export async function findHere(client: Client, typed: string, space: number, ended: () => boolean): Promise<readonly FoundMessage[]> {
  const words = plain(typed).letters.split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  const { spaces, blocked } = client.places.value;
  const wanted = spaces.filter((one) => !space || one.space === space).flatMap((one) => talks(one).map(({ stream }) => ({ in: one, stream })));
  const found: FoundMessage[] = [];
  if (!words.length) return found;
  for (const one of wanted.slice(0, STREAMS_MAX)) {
    if (ended()) break;
    const talk = await kept(client, one.stream);
    found.push(...among(talk, one.in, words, blocked));
  }
  return found.sort((a, b) => b.at - a.at).slice(0, FOUND_MAX);
}

function among(talk: Conversation, { space }: SpaceView, words: readonly string[], blocked: ReadonlySet<number>): FoundMessage[] {
  return talk.messages.flatMap(({ seq, author, at, text, deleted }) => {
    const pieces = seq && !deleted && !blocked.has(author) ? excerpt(text, words) : null;
    return pieces ? [{ space, stream: talk.stream, seq, author, at, name: "", whole: true, excerpt: pieces }] : [];
  });
}

function kept(client: Client, stream: number): Promise<Conversation> {
  const live = client.follow(stream);
  return new Promise((resolve) => {
    const timer = setTimeout(() => done(live.value), WAIT_MS);
    const done = (talk: Conversation) => {
      clearTimeout(timer);
      // After this callback: what is being called back is not taken away meanwhile.
      queueMicrotask(() => live.close());
      resolve(talk);
    };
    live.subscribe((talk) => {
      if (talk.messages.length) done(talk);
    });
  });
}
