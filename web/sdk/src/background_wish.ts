/**
 * In a page: asks the browser to wake the service worker for what is unsent, when the network is back though the page is closed.
 *
 *     something waits, and no session is open ─▶ sync.register        the page goes out of sight, and something waits ─▶ sync.register
 *     the app is installed, and the browser grants it ─▶ periodicSync.register, twice a day: for a browser that missed the other
 *
 * Where a browser has neither, nothing happens, and what is unsent waits for the page as before. In the worker: background.ts.
 *
 * Invariant: nothing is asked for while nothing waits, and nobody is woken for an account that has left.
 */
import type { Live, Status } from "./api";

/** The tag of the browser's events, `sync` and `periodicsync`. */
export const UNSENT = "educonnect-unsent";
const EVERY_MS = 12 * 3_600_000;

interface Waking {
  readonly sync?: { register(tag: string): Promise<void> };
  readonly periodicSync?: { register(tag: string, options: { minInterval: number }): Promise<void>; unregister(tag: string): Promise<void> };
}

/** Follows a client's status until what it returns is called. */
export function sendInBackground(client: { readonly status: Live<Status> }, registration: ServiceWorkerRegistration): () => void {
  const { sync, periodicSync } = registration as Waking;
  let asked = false;
  let regular = false;
  // A browser that will not, or a person who forbade it: the page sends.
  const unwilling = () => undefined;

  const ask = () => void sync?.register(UNSENT).catch(unwilling);
  const off = client.status.subscribe(({ state, pending }) => {
    if (!pending || state === "online") asked = false;
    else if (!asked && (state === "waiting" || state === "connecting")) {
      asked = true;
      ask();
    }
    const logged = state !== "signed-out" && state !== "ended";
    if (periodicSync && logged !== regular && state !== "connecting") {
      regular = logged;
      void (logged ? wishRegular(periodicSync) : periodicSync.unregister(UNSENT)).catch(unwilling);
    }
  });
  const hidden = () => document.visibilityState === "hidden" && client.status.value.pending && ask();
  document.addEventListener("visibilitychange", hidden);
  return () => {
    off();
    document.removeEventListener("visibilitychange", hidden);
  };
}

async function wishRegular(periodicSync: NonNullable<Waking["periodicSync"]>): Promise<void> {
  const { state } = await navigator.permissions.query({ name: "periodic-background-sync" as PermissionName });
  if (state === "granted") await periodicSync.register(UNSENT, { minInterval: EVERY_MS });
}
