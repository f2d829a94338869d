/** What went wrong, in the person's language; the server's own words where there are none here. */
import { say, type Key } from "./words";

/** By the server's codes (docs/protocol.md). */
const BY_CODE: Readonly<Record<number, Key>> = { 16: "error.forbidden", 17: "error.notFound", 18: "error.blocked", 19: "error.trust", 33: "error.wait", 34: "error.server", 35: "error.wait" };

interface Shaped {
  readonly status?: number;
  readonly code?: number | string;
  readonly detail?: string;
  readonly message?: string;
  readonly retryAfterS?: number;
}

/** An error of the SDK as words. Errors come from other tabs too, so they are known by their shape. */
export function inWords(error: unknown): string {
  const { status, code, detail, message, retryAfterS } = (error ?? {}) as Shaped;
  if (status === 429) return say("error.waitSeconds", { s: retryAfterS || 5 });
  if (status !== undefined && status >= 500) return say("error.server");
  if (status !== undefined) return detail || message || say("error.server");
  if (typeof code === "number") {
    const key = BY_CODE[code];
    return key ? say(key) : message || say("error.server");
  }
  return navigator.onLine ? say("error.unreachable") : say("error.offline");
}
