/**
 * The one client of this page, and the scripts that come by themselves.
 *
 *     the door ─▶ behind.ts: the SDK, its session, frame and chat ─▶ beside.ts: places, notices, home ─▶ a page, when it is opened
 */
import type { Client } from "../../sdk/src/api";
import type { Behind } from "./behind";
import type { Beside } from "./beside";
import { Cell } from "./live";
import { booksReady } from "./words";

/** Nothing yet, the client, or why there is none. */
export const session = new Cell<Client | Error | null>(null);
/** False where this browser keeps nothing: a private window, storage that is forbidden. */
export const keeps = new Cell(true);

/** What this browser is called among the account's devices. */
export const deviceName = `browser, ${navigator.platform || "web"}`.slice(0, 60);

/** What is beside a chat, once it is here. */
export const beside = new Cell<Beside | null>(null);

// Each script says itself that it has come: one that nobody asks for an export needs no second one to name it (scripts.mjs).
let here: Behind | undefined;
let there: Beside | undefined;

export function arrive(given: Behind): void {
  here = given;
}

export function stand(given: Beside): void {
  there = given;
}

/** Rejected (TypeError) where it cannot be had. */
export async function behind(): Promise<Behind> {
  if (!here) await import("./behind");
  return here!;
}

/** Rejected as `behind`. */
export async function wantBeside(): Promise<void> {
  if (!there) await import("./beside");
  await booksReady();
  beside.set(there!);
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
