/**
 * What a notice says, in the person's language, and where it leads: both by its kind.
 *
 *     kind, actor, space, stream, subject ─▶ a line       words of the server ─▶ known sentences (by their English) ─▶ the same in one's language
 *                                                                            └─▶ others: shown as they were said
 */
import type { NoticeView, Places } from "../../../../sdk/src/api";
import { PAGES } from "../../pages";
import { HOME, toChannel, toSpace } from "../../place";
import { book, english } from "./book";

/** Kinds of notices and of streams (docs/protocol.md); from there they would come with all of the protocol. */
const NoticeKind = { MENTION: 1, REPLY: 2, INVITATION: 3, CONFLICT: 4, MATCH: 5, MODERATION: 6, REMINDER: 7, ROLE: 8, TRUST: 9, SECURITY: 10 } as const;
const StreamKind = { CHANNEL: 3, CONVERSATION: 4, DOCUMENT: 5 } as const;

/** So the server begins what it tells who reported something. */
const REPORTED = "Thank you for your report.";

export type Said = { readonly line: string; readonly words: string };

/** Kinds by the words that name them; of one that is not known, its text is shown. */
export const KINDS = {
  [NoticeKind.MENTION]: "mention",
  [NoticeKind.REPLY]: "reply",
  [NoticeKind.INVITATION]: "invitation",
  [NoticeKind.CONFLICT]: "conflict",
  [NoticeKind.MATCH]: "match",
  [NoticeKind.MODERATION]: "moderation",
  [NoticeKind.REMINDER]: "reminder",
  [NoticeKind.ROLE]: "role",
  [NoticeKind.TRUST]: "trust",
  [NoticeKind.SECURITY]: "security",
} as const;
type KindName = (typeof KINDS)[keyof typeof KINDS];

export function nameOfKind(kind: number): KindName | "news" {
  return (KINDS as Readonly<Record<number, KindName>>)[kind] ?? "news";
}

type Sentence = Extract<keyof typeof english, `security.${string}` | `said.${string}` | `moderation.${string}`>;
type Part = Extract<keyof typeof english, `part.${string}` | `why.${string}`>;

/** A sentence of the server with places in it, as a pattern. */
function patternOf(sentence: string): RegExp {
  const parts = sentence.split(/\{\w+\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join("(.*)")}$`, "s");
}

const PATTERNS = (Object.keys(english) as (keyof typeof english)[])
  .filter((key): key is Sentence => /^(security|said|moderation)\./.test(key))
  .map((key) => ({ key, pattern: patternOf(english[key]), holes: [...english[key].matchAll(/\{(\w+)\}/g)].map(([, hole]) => hole!) }));

/** What a sentence about moderation is put together from: what it is about, and why. */
const PARTS = new Map((Object.keys(english) as (keyof typeof english)[]).filter((key): key is Part => /^(part|why)\./.test(key)).map((key) => [english[key], key]));

function partOf(words: string): string {
  const key = PARTS.get(words);
  return key ? book.say(key) : words;
}

/** A sentence that the server says in English to everybody, in the person's language; "" for one that is not known. */
export function translate(words: string, family: "security" | "said" | "moderation"): string {
  for (const { key, pattern, holes } of PATTERNS) {
    const found = key.startsWith(family) ? pattern.exec(words) : null;
    if (found) return book.say(key, Object.fromEntries(holes.map((hole, n) => [hole, partOf(found[n + 1] ?? "")])));
  }
  return "";
}

/** The line of a notice, and what stands below it. `actor`, `place`: what they are called here. */
export function said({ kind, words }: NoticeView, actor: string, place: string): Said {
  const name = nameOfKind(kind);
  if (name === "news") return { line: words || book.say("line.news", { place }), words: "" };
  if (name === "invitation") return { line: book.say("line.invitation", { actor, place: words || place }), words: "" };
  if (name === "reminder") return { line: words ? book.say("line.reminder", { words }) : book.say("line.reminderBare", { place }), words: "" };
  if (name === "role") return { line: book.say("line.role", { place, words }), words: "" };
  if (name === "match" || name === "trust") {
    const sentence = translate(words, "said");
    if (sentence) return { line: `${actor} ${sentence}`, words: "" };
    return { line: book.say(`line.${name}`, { actor }), words };
  }
  if (name === "security") return { line: book.say("line.security"), words: translate(words, "security") || words };
  return { line: book.say(`line.${name}`, { actor, place }), words: name === "moderation" ? translate(words, "moderation") || words : words };
}

/** The space that a notice belongs to, also where only its stream is said; 0: none that is known here. */
export function spaceOf({ space, stream }: Pick<NoticeView, "space" | "stream">, { spaces }: Places): number {
  return space || (stream && spaces.find((one) => one.streams.some((its) => its.stream === stream))?.space) || 0;
}

/** Where a stream or community is shown; "": nowhere that one may go. */
function toPlace(notice: NoticeView, places: Places): string {
  const { stream, target } = notice;
  const space = places.spaces.find((one) => one.space === spaceOf(notice, places));
  const kind = space?.streams.find((one) => one.stream === stream)?.kind;
  if (kind === StreamKind.CHANNEL || kind === StreamKind.CONVERSATION) return target ? `${toChannel(stream)}/${target}` : toChannel(stream);
  if (kind === StreamKind.DOCUMENT) return page("document", stream);
  return space ? toSpace(space.space) : "";
}

/** A page that this app has, by an id or what is behind none. */
function page(name: string, of: number | string = 0): string {
  return Object.hasOwn(PAGES, name) ? `#/${name}/${typeof of === "string" ? `0/${of}` : of}` : "";
}

/** The address of what a notice is about; "": there is nothing to go to. */
export function leadsTo(notice: NoticeView, places: Places): string {
  switch (notice.kind) {
    case NoticeKind.INVITATION:
      return places.spaces.some(({ space }) => space === notice.space) ? toSpace(notice.space) : HOME;
    case NoticeKind.CONFLICT:
      return page("conflicts", notice.subject) || toPlace(notice, places);
    case NoticeKind.MATCH:
      return (notice.stream && toPlace(notice, places)) || page("mentors", "mine");
    case NoticeKind.MODERATION:
      // About a report of one's own there is nothing more to see; of what is one's own there is what was held, and why.
      return (!notice.stream && !notice.words.startsWith(REPORTED) && page("review", "mine")) || toPlace(notice, places);
    case NoticeKind.SECURITY:
    case NoticeKind.TRUST:
      return page("account");
    default:
      return toPlace(notice, places);
  }
}
