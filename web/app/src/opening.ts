/**
 * The one client of this page, and the scripts that come by themselves.
 *
 *     the door ─▶ behind.ts: the SDK, its session, frame and chat ─▶ beside.ts: places, notices, home ─▶ a page, when it is opened
 */
import type { Client } from "../../sdk/src/api";
import { Cell } from "./live";
import { booksReady } from "./words";

/** Nothing yet, the client, or why there is none. */
export const session = new Cell<Client | Error | null>(null);
/** False where this browser keeps nothing: a private window, storage that is forbidden. */
export const keeps = new Cell(true);

/** What this browser is called among the account's devices. */
export const deviceName = `browser, ${navigator.platform || "web"}`.slice(0, 60);

export type Beside = typeof import("./beside");
/** What is beside a chat, once it is here. */
export const beside = new Cell<Beside | null>(null);

/** Rejected (TypeError) where it cannot be had. */
export async function wantBeside(): Promise<void> {
  const here = await import("./beside");
  await booksReady();
  beside.set(here);
}

/** The name that the SDK gives its database. */
const KEPT = "educonnect";
const WARM_MS = 10_000;

/** Has what is kept brought in from the disk, while the scripts that read it are still coming. Where there is nothing, nothing is made. */
export function warm(): void {
  try {
    const asked = indexedDB.open(KEPT);
    asked.onupgradeneeded = () => asked.transaction?.abort();
    asked.onerror = (event) => event.preventDefault();
    asked.onsuccess = () => {
      const close = () => asked.result.close();
      // Whoever deletes it is not kept waiting.
      asked.result.onversionchange = close;
      setTimeout(close, WARM_MS);
    };
  } catch (error) {
    // Forbidden: the SDK says so to whoever waits for it.
    if (!(error instanceof DOMException)) throw error;
  }
}

export async function open(): Promise<void> {
  try {
    const { openClient, MemoryDisk } = await import("./behind");
    try {
      session.set(await openClient({ deviceName }));
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
      keeps.set(false);
      session.set(await openClient({ deviceName, shared: false, disk: async () => new MemoryDisk() }));
    }
  } catch (error) {
    session.set(error instanceof Error ? error : new Error(String(error)));
  }
}
