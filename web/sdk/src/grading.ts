/**
 * What an answer to a question is worth: decided on a device when the key is there, and by the server always, by the same function.
 *
 *     choice    the one place, or one of several that are right      order   the longest run in the right order, less one
 *     several   right places chosen, less wrong ones                  short   one of the accepted answers
 *     cloze     gaps that are filled rightly, each by its own words
 *
 * As protocol/grading.py; tests/vectors/learning.json says so. Only whole numbers are reckoned with, so every language comes to the same.
 *
 * Invariant: all points if and only if it is right; a question without a usable key, or with words that are hidden, grades nothing.
 */
import { isRight } from "./answers";
import type { Fields, Value } from "./protocol";

const ALTERNATIVES_MAX = 20;
const GAP = /_{3,}/g;
/** What stands for words that were hidden. */
const COVER = "▒▒▒";

export const Form = { CHOICE: 0, SEVERAL: 1, CLOZE: 2, ORDER: 3, SHORT: 4 } as const;

/** A question, as far as grading goes. `key`: places of right options; of an order all of them; of a cloze one a gap. `words`: accepted
 *  answers; of a cloze with several gaps one entry a gap. */
export interface Asked {
  readonly form: number;
  readonly options: readonly string[];
  readonly key: readonly number[];
  readonly words: readonly string[];
  readonly gaps: number;
}

/** `words`: "right", "partly:2:3" (of three, two), "wrong", "unanswered". */
export interface Graded {
  readonly points: number;
  readonly right: boolean;
  readonly words: string;
}

const UNANSWERED: Graded = { points: 0, right: false, words: "unanswered" };

/** What the answer is worth; null: there is no key that can be used. */
export function grade(asked: Asked, choices: readonly number[], text: string): Graded | null {
  const { form, key, words, options, gaps } = asked;
  if (!hasKey(asked)) return null;
  if (form === Form.CHOICE) return oneOf(key, choices);
  if (form === Form.SEVERAL) return several(key, choices);
  if (form === Form.ORDER) return inOrder(key, choices);
  if (form === Form.CLOZE && options.length) return gaps <= 1 ? oneOf(key, choices) : chosenGaps(key, choices);
  return form === Form.CLOZE && gaps > 1 ? writtenGaps(words, text) : written(words, text);
}

function hasKey({ form, key, words, options, gaps }: Asked): boolean {
  const size = options.length;
  if (!Object.values(Form).includes(form as 0)) return false;
  if (form === Form.SHORT || (form === Form.CLOZE && !size)) {
    const accepted = words.filter((word) => word.trim());
    return accepted.length > 0 && (gaps <= 1 || accepted.length === gaps);
  }
  if (size < 2 || !key.length || key.some((place) => place >= size)) return false;
  if (form === Form.ORDER && [...key].sort((a, b) => a - b).some((place, at) => place !== at)) return false;
  if (form === Form.ORDER && key.length !== size) return false;
  if (form === Form.CLOZE && gaps > 1 && key.length !== gaps) return false;
  return form !== Form.SEVERAL || new Set(key).size === key.length;
}

function share(got: number, of: number): Graded {
  if (got >= of) return { points: 100, right: true, words: "right" };
  return { points: Math.floor((100 * got) / of), right: false, words: got > 0 ? `partly:${got}:${of}` : "wrong" };
}

function oneOf(key: readonly number[], choices: readonly number[]): Graded {
  return choices.length ? share(Number(choices.length === 1 && key.includes(choices[0]!)), 1) : UNANSWERED;
}

function several(key: readonly number[], choices: readonly number[]): Graded {
  const chosen = [...new Set(choices)];
  if (!chosen.length) return UNANSWERED;
  const hits = chosen.filter((one) => key.includes(one)).length;
  return share(Math.max(0, hits - (chosen.length - hits)), key.length);
}

/** By the longest run that stands in the right order: one thing in the wrong place costs one, not all behind it. */
function inOrder(key: readonly number[], choices: readonly number[]): Graded {
  const given = [...new Set(choices)].map((option) => key.indexOf(option)).filter((place) => place >= 0);
  if (!given.length) return UNANSWERED;
  const run: number[] = [];
  for (const place of given) {
    const at = run.findIndex((one) => one >= place);
    run[at < 0 ? run.length : at] = place;
  }
  const whole = given.length === key.length && key.length === choices.length;
  if (whole && run.length === key.length) return share(1, 1);
  return share(Math.min(run.length - 1, key.length - 2), key.length - 1);
}

function chosenGaps(key: readonly number[], choices: readonly number[]): Graded {
  if (!choices.length) return UNANSWERED;
  const got = key.filter((right, place) => choices[place] === right).length;
  return share(choices.length <= key.length ? got : Math.min(got, key.length - 1), key.length);
}

function writtenGaps(words: readonly string[], text: string): Graded {
  if (!text.trim()) return UNANSWERED;
  const lines = text.split("\n");
  const got = words.filter((word, place) => place < lines.length && alternatives(word).some((one) => isRight(lines[place]!, one)));
  return share(got.length, words.length);
}

function written(words: readonly string[], text: string): Graded {
  if (!text.trim()) return UNANSWERED;
  return share(Number(words.flatMap(alternatives).some((one) => isRight(text, one))), 1);
}

function alternatives(word: string): string[] {
  return word.split("|").slice(0, ALTERNATIVES_MAX);
}

// From records

const LESSON_FORM = { form: 2, prompt: 3, options: 4, key: 5, words: 6, exam: 10 } as const;

/** What a record of a question says, with the record of its key where that stands apart: of an exam only that one counts. */
export function askedOf(question: Fields, key: Fields = new Map()): Asked {
  const at = LESSON_FORM;
  const isExam = question.get(at.exam) === true;
  const form = question.get(at.form);
  const prompt = question.get(at.prompt);
  return {
    form: typeof form === "number" ? form : 0,
    options: texts(question.get(at.options)),
    key: numbers(isExam ? key.get(1) : question.get(at.key)),
    words: texts(isExam ? key.get(2) : question.get(at.words)),
    gaps: Math.max(1, typeof prompt === "string" ? (prompt.match(GAP) ?? []).length : 1),
  };
}

/** `grade`, of records' fields. Null also while what is asked is hidden. */
export function gradeAnswer(question: Fields, answer: Fields, key?: Fields): Graded | null {
  const asked = askedOf(question, key);
  if (question.get(LESSON_FORM.prompt) === COVER || asked.options.includes(COVER)) return null;
  const text = answer.get(3);
  return grade(asked, numbers(answer.get(2)), typeof text === "string" ? text : "");
}

function numbers(value: Value | undefined): number[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === "number") : [];
}

function texts(value: Value | undefined): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
}
