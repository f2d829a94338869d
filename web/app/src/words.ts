/**
 * The app in five languages. English comes with the script, another one when it is chosen. The door, the chat and what is beside it have each
 * what they say of the same files (words.mjs parts them), and a lazy page its own (`openBook`).
 */
import type english from "../messages/en.json";
import { keep, recall } from "./kept";
import { Cell } from "./live";
import doorWords from "words:door/en";

export type Key = keyof typeof english;
type Words = Readonly<Record<string, string>>;

/** Each by its own name. */
export const LANGUAGES = { en: "English", es: "Español", fr: "Français", ar: "العربية", sw: "Kiswahili" } as const;
export type Language = keyof typeof LANGUAGES;

type Others = Readonly<Record<Exclude<Language, "en">, () => Promise<{ default: Words }>>>;

let plurals = new Intl.PluralRules("en");
let numbers: readonly [Language, Intl.NumberFormat] | undefined;
export const language = new Cell<Language>("en");

/** The words of one part of the app. */
export interface Book<English> {
  /** The words for `key`, its holes filled. */
  say(key: keyof English, holes?: Holes): string;
  /** The words for a number of things. */
  count(stem: Stem<keyof English>, number: number, holes?: Holes): string;
}
type Holes = Readonly<Record<string, string | number>>;
type Stem<Key> = Key extends `${infer One}.other` ? One : never;

const turns: ((wanted: Language) => Promise<() => void>)[] = [];
/** Books that were opened while another language than theirs is spoken, and are on their way. */
let coming: Promise<unknown> = Promise.resolve();

/** A page's words: in English with the page, in another language when the page comes or that is chosen. They are not shown before (`booksReady`). */
export function openBook<English extends Words>(english: English, others: Others): Book<English> {
  let words: Words = english;
  const turn = async (wanted: Language) => {
    const next: Words = wanted === "en" ? english : (await others[wanted]()).default;
    return () => void (words = next);
  };
  turns.push(turn);
  if (language.value !== "en") {
    const opened = turn(language.value).then((apply) => apply(), forgive);
    coming = Promise.all([coming, opened]);
  }
  return {
    say: (key, holes = {}) => fill(words[key as string] ?? english[key as string] ?? "", holes),
    count: (stem, number, holes = {}) => {
      const text = words[`${stem}.${plurals.select(number)}`] ?? words[`${stem}.other`] ?? "";
      if (numbers?.[0] !== language.value) numbers = [language.value, new Intl.NumberFormat(language.value)];
      return fill(text, { ...holes, n: numbers[1].format(number) });
    },
  };
}

/** Fulfilled when every book that is open speaks the person's language, or cannot. */
export async function booksReady(): Promise<void> {
  await coming;
}

/** Where words cannot be had, it stays as it is. */
function forgive(error: unknown): void {
  if (!(error instanceof TypeError)) throw error;
}

const parts: (readonly [Words, Book<typeof english>])[] = [];

/** Another part of the app's own words has come. */
export function openPart(words: Words, others: Others): void {
  parts.push([words, openBook(words as typeof english, others)]);
}

openPart(doorWords, {
  es: () => import("words:door/es"),
  fr: () => import("words:door/fr"),
  ar: () => import("words:door/ar"),
  sw: () => import("words:door/sw"),
});

/** What a chat says. */
export const CHAT: Others = {
  es: () => import("words:chat/es"),
  fr: () => import("words:chat/fr"),
  ar: () => import("words:chat/ar"),
  sw: () => import("words:chat/sw"),
};

/** The part that has it. Nobody says what has not come. */
function having(key: string): Book<typeof english> {
  return (parts.find(([words]) => key in words) ?? parts[0]!)[1];
}

export const say: Book<typeof english>["say"] = (key, holes) => having(key).say(key, holes);
export const count: Book<typeof english>["count"] = (stem, number, holes) => having(`${stem}.other`).count(stem, number, holes);

function known(tag: string): Language | undefined {
  const short = tag.toLowerCase().split("-")[0] ?? "";
  return short in LANGUAGES ? (short as Language) : undefined;
}

/** The person's choice; without one, the browser's first language that is known here. */
export function preferred(): Language {
  return known(recall("language")) ?? navigator.languages.map(known).find(Boolean) ?? "en";
}

/** Speaks another language from now on. Where its words cannot be had, all stay as they are. */
export async function speak(wanted: Language, chosen = false): Promise<void> {
  try {
    for (const apply of await Promise.all(turns.map((turn) => turn(wanted)))) apply();
  } catch (error) {
    return forgive(error);
  }
  if (chosen) keep("language", wanted);
  plurals = new Intl.PluralRules(wanted);
  document.documentElement.lang = wanted;
  document.documentElement.dir = wanted === "ar" ? "rtl" : "ltr";
  language.set(wanted);
}

function fill(text: string, holes: Holes): string {
  return text.replace(/\{(\w+)\}/g, (hole, name: string) => String(holes[name] ?? hole));
}

/** A clock's time, a day, of Unix seconds. */
export function clock(at: number): string {
  // To make one takes a tenth of a millisecond, and a channel has a thousand times in it.
  if (clocks?.[0] !== language.value) clocks = [language.value, new Intl.DateTimeFormat(language.value, { hour: "numeric", minute: "2-digit" }), new Map()];
  const [, format, said] = clocks;
  const when = new Date(at * 1000);
  const minute = when.getHours() * 60 + when.getMinutes();
  if (!said.has(minute)) said.set(minute, format.format(when));
  return said.get(minute)!;
}
/** A day has so many minutes, and each is said in one way. */
let clocks: readonly [Language, Intl.DateTimeFormat, Map<number, string>] | undefined;

export function day(at: number, now = Date.now()): string {
  const start = (ms: number) => new Date(ms).setHours(0, 0, 0, 0);
  const ago = Math.round((start(now) - start(at * 1000)) / 86_400_000);
  if (ago < 2) return new Intl.RelativeTimeFormat(language.value, { numeric: "auto" }).format(-ago, "day");
  const more = ago > 300 ? ({ year: "numeric" } as const) : {};
  return new Intl.DateTimeFormat(language.value, { weekday: "long", day: "numeric", month: "long", ...more }).format(at * 1000);
}
