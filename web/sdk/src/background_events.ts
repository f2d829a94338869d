/** The browser's events that wake a service worker for what is unsent. What it does then is a script of its own: background.ts. */
import { UNSENT } from "./background_wish";
import { Unreachable } from "./errors";

/**
 * How it ended. `sent`: nothing is unsent; `page`: a page has the store, or wants it, or what is left is for a page; `signed-out`: nobody is
 * logged in, or the session is over; `later`: the network or the server was in the way, and another time may do.
 */
export type Ending = "sent" | "page" | "signed-out" | "later";

export interface Sending {
  readonly ending: Ending;
  /** Mutations that have their outcome now. */
  readonly decided: number;
}

/** The parts of a service worker's scope that are used. */
interface WorkerScope {
  addEventListener(type: string, listener: (event: any) => void): void;
}

/** Takes on the browser's events in a service worker. */
export function answerSyncs(worker: WorkerScope, send: () => Promise<Sending>): void {
  worker.addEventListener("sync", (event: { tag: string; waitUntil(what: Promise<unknown>): void }) => {
    if (event.tag !== UNSENT) return;
    // Rejected, the browser says so again after a while, a few times.
    const later = ({ ending }: Sending) => (ending === "later" ? Promise.reject(new Unreachable("not all was sent")) : undefined);
    event.waitUntil(send().then(later));
  });
  worker.addEventListener("periodicsync", (event: { tag: string; waitUntil(what: Promise<unknown>): void }) => {
    const { connection } = navigator as { connection?: { saveData?: boolean } };
    if (event.tag === UNSENT && !connection?.saveData) event.waitUntil(send());
  });
}
