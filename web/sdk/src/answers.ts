/**
 * Answers in words: when what somebody wrote is what was asked for.
 *
 *     written ─normalise─▶ "die antwort" ─┬─ equal ─▶ right            accepted: "Antwort", "=año" (marks count), "3.14±0.01" (a number)
 *     accepted ───────────────────────────╯  number within tolerance ─▶ right
 *
 * As protocol/answers.py; tests/vectors/learning.json says so.
 *
 * Invariant: `normalise` of what it gave is the same again.
 */

const DIGITS_MAX = 18;
const WRITTEN_MAX = 400;
const EXACT = "=";
const TOLERANCE = /\s*(?:±|\+\/-|\+-)\s*/;
const SPACES = /[\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/gu;
const UNSEEN = /[\u00ad\u0640\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]/gu;
const MARKS = /[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670]/gu;
/** The zero of each script whose ten digits follow it. */
const ZEROES = [..."\u0660\u06f0\u0966\u09e6\u0a66\u0ae6\u0b66\u0be6\u0c66\u0ce6\u0d66\u0e50\u0ed0\u0f20\u1040\u17e0"].map((zero) => zero.codePointAt(0)!);
const LETTERS: Readonly<Record<string, string>> = { ß: "ss", ς: "σ", ı: "i", ø: "o", đ: "d", ł: "l", æ: "ae", œ: "oe" };
const SIGNS: Readonly<Record<string, string>> = {
  ...Object.fromEntries([..."’‘ʼ`´"].map((sign) => [sign, "'"])),
  ...Object.fromEntries([..."“”„«»"].map((sign) => [sign, '"'])),
  ...Object.fromEntries([..."‐‑‒–—―−"].map((sign) => [sign, "-"])),
};
const ENDS = " .,;:!?…\"'¿¡。、，；：！？؟،।";
const NUMBER = /^([+-]?)([0-9][0-9.,' ]*|[.,][0-9]+)$/;

/** `digits` times ten to the power of minus `places`. */
export interface Figure {
  readonly digits: bigint;
  readonly places: number;
}

/** How two texts are compared. `marksCount`: upper and lower case and marks over letters stay. */
export function normalise(text: string, marksCount = false): string {
  text = tidy(text).normalize("NFKC");
  if (!marksCount) {
    text = text.toLowerCase().normalize("NFD").replace(MARKS, "").normalize("NFC");
    text = [...text].map((letter) => LETTERS[letter] ?? letter).join("");
  }
  // What was taken apart or dropped may have left signs that were not there before.
  return strip(tidy(text));
}

function tidy(text: string): string {
  return [...text.replace(UNSEEN, "").replace(SPACES, " ")].map((letter) => SIGNS[letter] ?? digit(letter)).join("");
}

function digit(letter: string): string {
  const point = letter.codePointAt(0)!;
  const zero = ZEROES.find((one) => point >= one && point < one + 10);
  return zero === undefined ? letter : String(point - zero);
}

function strip(text: string): string {
  const letters = [...text];
  let from = 0;
  let to = letters.length;
  while (from < to && ENDS.includes(letters[from]!)) from++;
  while (to > from && ENDS.includes(letters[to - 1]!)) to--;
  return letters.slice(from, to).join("");
}

/** Whether what was written is this accepted answer, by the words or as a number. */
export function isRight(written: string, accepted: string): boolean {
  const answer = [...written].length <= WRITTEN_MAX ? written : "";
  if (accepted.startsWith(EXACT)) return isSame(normalise(accepted.slice(1), true), normalise(answer, true));
  const split = TOLERANCE.exec(accepted);
  const wanted = readings(split ? accepted.slice(0, split.index) : accepted);
  const tolerance = split ? readings(accepted.slice(split.index + split[0].length)) : [{ digits: 0n, places: 0 }];
  if (!wanted.length || !tolerance.length) return isSame(normalise(accepted), normalise(answer));
  return readings(answer).some((one) => wanted.some((figure) => isWithin(one, figure, tolerance[0]!)));
}

function isSame(wanted: string, written: string): boolean {
  return wanted !== "" && wanted === written;
}

/** The numbers that a text may mean; none: it is no number. A point or a comma is the decimal one; of both the last; one that comes more
 *  than once stands between thousands, and so may a single one with three digits behind it. */
export function readings(text: string): Figure[] {
  const found = NUMBER.exec(tidy(text).normalize("NFKC").trim());
  if (!found) return [];
  const sign = found[1]!;
  const body = found[2]!.replace(/[ ']/g, "");
  const count = (letter: string) => body.split(letter).length - 1;
  const [points, commas] = [count("."), count(",")];
  let decimal = "";
  if (points && commas) {
    decimal = body.lastIndexOf(".") > body.lastIndexOf(",") ? "." : ",";
    if (count(decimal) > 1) return [];
  } else if (points + commas === 1) decimal = points ? "." : ",";
  const made = [figure(sign, body, decimal)];
  if (decimal && !(points && commas) && /^[1-9][0-9]{0,2}[.,][0-9]{3}$/.test(body)) made.push(figure(sign, body, ""));
  return made.filter((one) => one !== undefined);
}

function figure(sign: string, body: string, decimal: string): Figure | undefined {
  const at = decimal ? body.indexOf(decimal) : body.length;
  const part = body.slice(at + 1).replace(/[.,]/g, "");
  const digits = body.replace(/[.,]/g, "");
  if (!digits || digits.length > DIGITS_MAX) return undefined;
  return { digits: sign === "-" ? -BigInt(digits) : BigInt(digits), places: part.length };
}

function isWithin(one: Figure, other: Figure, tolerance: Figure): boolean {
  const places = Math.max(one.places, other.places, tolerance.places);
  const scaled = (figure: Figure) => figure.digits * 10n ** BigInt(places - figure.places);
  const size = (value: bigint) => (value < 0n ? -value : value);
  return size(scaled(one) - scaled(other)) <= size(scaled(tolerance));
}
