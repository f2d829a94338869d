/**
 * The one client of this page, and what is behind the door: one script with the SDK, its session and the frame (behind.ts). It comes by itself,
 * while the door is already to be seen.
 */
import type { Client } from "../../sdk/src/api";
import type { Behind } from "./behind";
import { Cell } from "./live";

/** Nothing yet, the client, or why there is none. */
export const session = new Cell<Client | Error | null>(null);
/** False where this browser keeps nothing: a private window, storage that is forbidden. */
export const keeps = new Cell(true);

/** What this browser is called among the account's devices. */
export const deviceName = `browser, ${navigator.platform || "web"}`.slice(0, 60);

let here: Behind | undefined;

/** The script behind the door says so itself: one that nobody asks for an export needs no second one to name it (scripts.mjs). */
export function arrive(given: Behind): void {
  here = given;
}

/** Rejected (TypeError) where it cannot be had. */
export async function behind(): Promise<Behind> {
  if (!here) await import("./behind");
  return here!;
}

export async function open(): Promise<void> {
  try {
    const { openClient, MemoryDisk } = await behind();
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
