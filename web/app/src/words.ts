/** The app in five languages. English comes with the script, another one when it is chosen. */
import english from "../messages/en.json";
import { keep, recall } from "./kept";
import { Cell } from "./live";

export type Key = keyof typeof english;
/** What is said of a number: the stem of keys such as `unread.other`. */
export type Counted = Key extends infer One ? (One extends `${infer Stem}.other` ? Stem : never) : never;
type Words = Readonly<Record<string, string>>;

/** Each by its own name. */
export const LANGUAGES = { en: "English", es: "Español", fr: "Français", ar: "العربية", sw: "Kiswahili" } as const;
export type Language = keyof typeof LANGUAGES;

const OTHERS: Readonly<Record<Exclude<Language, "en">, () => Promise<{ default: Words }>>> = {
  es: () => import("../messages/es.json"),
  fr: () => import("../messages/fr.json"),
  ar: () => import("../messages/ar.json"),
  sw: () => import("../messages/sw.json"),
};

let words: Words = english;
let plurals = new Intl.PluralRules("en");
export const language = new Cell<Language>("en");

function known(tag: string): Language | undefined {
  const short = tag.toLowerCase().split("-")[0] ?? "";
  return short in LANGUAGES ? (short as Language) : undefined;
}

/** The person's choice; without one, the browser's first language that is known here. */
export function preferred(): Language {
  return known(recall("language")) ?? navigator.languages.map(known).find(Boolean) ?? "en";
}

/** Speaks another language from now on. Where its words cannot be had, it stays as it is. */
export async function speak(wanted: Language, chosen = false): Promise<void> {
  try {
    words = wanted === "en" ? english : (await OTHERS[wanted]()).default;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return;
  }
  if (chosen) keep("language", wanted);
  plurals = new Intl.PluralRules(wanted);
  document.documentElement.lang = wanted;
  document.documentElement.dir = wanted === "ar" ? "rtl" : "ltr";
  language.set(wanted);
}

/** The words for `key`, its holes filled. */
export function say(key: Key, holes: Readonly<Record<string, string | number>> = {}): string {
  return fill(words[key] ?? english[key], holes);
}

/** The words for a number of things. */
export function count(stem: Counted, number: number, holes: Readonly<Record<string, string | number>> = {}): string {
  const text = words[`${stem}.${plurals.select(number)}`] ?? words[`${stem}.other`] ?? "";
  return fill(text, { ...holes, n: new Intl.NumberFormat(language.value).format(number) });
}

function fill(text: string, holes: Readonly<Record<string, string | number>>): string {
  return text.replace(/\{(\w+)\}/g, (hole, name: string) => String(holes[name] ?? hole));
}

/** A clock's time, a day, of Unix seconds. */
export function clock(at: number): string {
  return new Intl.DateTimeFormat(language.value, { hour: "numeric", minute: "2-digit" }).format(at * 1000);
}

export function day(at: number, now = Date.now()): string {
  const start = (ms: number) => new Date(ms).setHours(0, 0, 0, 0);
  const ago = Math.round((start(now) - start(at * 1000)) / 86_400_000);
  if (ago < 2) return new Intl.RelativeTimeFormat(language.value, { numeric: "auto" }).format(-ago, "day");
  const more = ago > 300 ? ({ year: "numeric" } as const) : {};
  return new Intl.DateTimeFormat(language.value, { weekday: "long", day: "numeric", month: "long", ...more }).format(at * 1000);
}
