/** What went wrong, in the person's language; the server's own words where there are none here. */
import { language, say, type Key } from "./words";

/** By the server's codes (docs/protocol.md). */
const BY_CODE: Readonly<Record<number, Key>> = {
  1: "error.invalid",
  2: "sync.explainOld",
  3: "error.tooLarge",
  16: "error.forbidden",
  17: "error.notFound",
  18: "error.blocked",
  19: "error.trust",
  20: "error.stepUp",
  21: "error.proof",
  24: "error.taken",
  25: "error.limit",
  26: "error.gone",
  29: "error.reload",
  32: "error.wait",
  33: "error.wait",
  34: "error.server",
  35: "error.wait",
  4001: "error.logIn",
  4003: "error.logIn",
};

/** What is refused at the door: sentences of the server by how they begin. */
const AT_DOOR: readonly (readonly [string, Key])[] = [
  ["the name has ", "error.name"],
  ["the name begins ", "error.name"],
  ["the name ends ", "error.name"],
  ["the password has ", "error.passwordLength"],
  ["the password is too easy to guess", "error.passwordEasy"],
];
let more = (_: string) => "";

/** What is behind the door is refused in more ways (refusals.ts). */
export function learnRefusals(say: (sentence: string) => string): void {
  more = say;
}

/** What the server says in a sentence that is known here, in the person's language; "": it is not known. */
function translated(sentence: string): string {
  const found = AT_DOOR.find(([begins]) => sentence.startsWith(begins));
  return found ? say(found[1]) : more(sentence);
}

interface Shaped {
  readonly status?: number;
  readonly code?: number | string;
  readonly detail?: string;
  readonly message?: string;
  readonly retryAfterS?: number;
}

/** A server's sentence in a language that the person may not read says nothing: then the code's words do, alone. */
function coded(code: number, why = ""): string {
  const key = BY_CODE[code];
  const readable = language.value === "en" ? why : "";
  return translated(why) || (key ? say(key, { why: readable }).trim() : readable || say("error.server"));
}

/** Why a message was refused, of which only the sentence is left; the SDK's own words where there was none name the code. */
export function whyInWords(why: string): string {
  const [, code] = /^refused with code (\d+)$/.exec(why) ?? [];
  return code ? coded(Number(code)) : coded(0, why);
}

/** An error of the SDK as words. Errors come from other tabs too, so they are known by their shape. */
export function inWords(error: unknown): string {
  const { status, code, detail, message, retryAfterS } = (error ?? {}) as Shaped;
  if (status === 429) return say("error.waitSeconds", { s: retryAfterS || 5 });
  if (status !== undefined && status >= 500) return say("error.server");
  // Over HTTP the server's sentence says more than its code, which is the same for many things.
  if (status !== undefined) return translated(detail ?? "") || (language.value === "en" ? detail || message || say("error.server") : coded(Number(code), detail || message));
  if (typeof code === "number") return coded(code, message);
  return navigator.onLine ? say("error.unreachable") : say("error.offline");
}
