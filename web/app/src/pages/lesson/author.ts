/**
 * A question as who writes it reads it: options one a line, right ones with a star; words one a line. And back, as its records hold it.
 *
 *     fields of a question, of its key ─sheetOf─▶ Sheet ─▶ the form ─▶ Sheet ─writingOf─▶ fields of both, or what is wrong
 *
 * Invariant: what cannot be graded is not written; the key of an exam goes into the studio and nowhere else.
 */
import { askedOf, Form, grade, text } from "../../../../sdk/src/learning";
import type { Fields, Value } from "../../../../sdk/src/protocol";

/** `lines`: options, or accepted words. Of an order they stand as they should. */
export interface Sheet {
  readonly form: number;
  readonly prompt: string;
  readonly lines: string;
  readonly explanation: string;
  readonly exam: boolean;
}

export const EMPTY: Sheet = { form: Form.CHOICE, prompt: "", lines: "", explanation: "", exam: false };
export const LINES_MAX = 10;
const LINE_MAX = 200;
const RIGHT = /^\s*\*\s*/;
const NO_FIELDS: Fields = new Map();

/** Whether its lines are options with stars, options in order, or words. */
export function kindOf(form: number): "stars" | "order" | "words" {
  return form === Form.CHOICE || form === Form.SEVERAL ? "stars" : form === Form.ORDER ? "order" : "words";
}

/** Null: a question that this form does not show whole (a cloze with options to choose from, a form that is newer). */
export function sheetOf(question: Fields, key: Fields = NO_FIELDS): Sheet | null {
  const { form, options, key: places, words } = askedOf(question, key);
  const known = Object.values(Form).includes(form as 0) && !(kindOf(form) === "words" && options.length);
  if (!known) return null;
  const stars = () => options.map((option, place) => (places.includes(place) ? `* ${option}` : option));
  const lines = kindOf(form) === "stars" ? stars() : kindOf(form) === "order" ? places.map((place) => options[place] ?? "") : words;
  return { form, prompt: text(question.get(3)), lines: lines.join("\n"), explanation: text(question.get(7)), exam: question.get(10) === true };
}

/** Of what is to be put in order: for each option as it is shown, its place in the right order. */
export function shownOrder(question: Fields, key: Fields = NO_FIELDS): readonly number[] {
  const { options, key: places } = askedOf(question, key);
  return options.map((_, place) => places.indexOf(place));
}

export type Wrong = "prompt" | "lines" | "long" | "key" | "gaps";

/** The fields of the question, and of its key where it is an exam's. `shuffle`: another order of so many places, for what is to be put in order. */
export function writingOf(sheet: Sheet, shuffle: (size: number) => readonly number[]): { readonly question: Fields; readonly key: Fields | null } | Wrong {
  const { form, prompt, explanation, exam } = sheet;
  const lines = sheet.lines.split("\n").map((line) => line.trim()).filter(Boolean);
  if (!prompt.trim()) return "prompt";
  if (lines.length > LINES_MAX) return "lines";
  if (lines.some((line) => [...line].length > LINE_MAX)) return "long";
  const kind = kindOf(form);
  const shown = kind === "order" ? shuffle(lines.length) : lines.map((_, place) => place);
  const options = kind === "words" ? [] : shown.map((place) => lines[place]!.replace(kind === "stars" ? RIGHT : "", ""));
  const places = kind === "stars" ? lines.flatMap((line, place) => (RIGHT.test(line) ? [place] : [])) : kind === "order" ? lines.map((_, place) => shown.indexOf(place)) : [];
  const words = kind === "words" ? lines : [];
  const fields = new Map<number, Value>([[2, form], [3, prompt.trim()], [4, options], [5, places], [6, words], [7, explanation.trim()], [10, exam]]);
  const asked = askedOf(new Map(fields).set(10, false));
  if (grade(asked, [0], "x") === null) return form === Form.CLOZE && asked.gaps > 1 ? "gaps" : "key";
  if (!exam) return { question: fields, key: null };
  // What explains the answer is a key as well.
  const bare = new Map<number, Value>([...fields, [5, []], [6, []], [7, ""]]);
  return { question: bare, key: new Map<number, Value>([[1, places], [2, words]]) };
}

/** The fields of `now` that are others in `before`. */
export function changedFields(before: Fields, now: Fields): Fields {
  const none = (value: Value) => (typeof value === "number" ? 0 : typeof value === "boolean" ? false : Array.isArray(value) ? [] : "");
  return new Map([...now].filter(([field, value]) => JSON.stringify(before.get(field) ?? none(value)) !== JSON.stringify(value)));
}

/** A random order of so many places that is not the ascending one, where there is another. */
export function shuffled(size: number): readonly number[] {
  const places = Array.from({ length: size }, (_, place) => place);
  for (let at = size - 1; at > 0; at--) {
    const other = Math.floor(Math.random() * (at + 1));
    [places[at], places[other]] = [places[other]!, places[at]!];
  }
  const isSorted = places.every((place, at) => place === at);
  return isSorted && size > 1 ? [...places.slice(1), places[0]!] : places;
}
