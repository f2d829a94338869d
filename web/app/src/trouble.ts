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
  24: "error.taken",
  25: "error.limit",
  26: "error.gone",
  32: "error.wait",
  33: "error.wait",
  34: "error.server",
  35: "error.wait",
};

interface Shaped {
  readonly status?: number;
  readonly code?: number | string;
  readonly detail?: string;
  readonly message?: string;
  readonly retryAfterS?: number;
}

function coded(code: number, why = ""): string {
  const key = BY_CODE[code];
  return key ? say(key, { why }) : why || say("error.server");
}

/** An error of the SDK as words. Errors come from other tabs too, so they are known by their shape. */
export function inWords(error: unknown): string {
  const { status, code, detail, message, retryAfterS } = (error ?? {}) as Shaped;
  if (status === 429) return say("error.waitSeconds", { s: retryAfterS || 5 });
  if (status !== undefined && status >= 500) return say("error.server");
  // Over HTTP the server's sentence says more than its code, which is the same for many things.
  if (status !== undefined) return language.value === "en" ? detail || message || say("error.server") : coded(Number(code), detail || message);
  if (typeof code === "number") return coded(code, message);
  return navigator.onLine ? say("error.unreachable") : say("error.offline");
}
