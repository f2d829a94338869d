/** The one client of this page, and the names of people. The SDK comes by itself, while the door is already to be seen. */
import type { Client, Me } from "../../sdk/src/api";
import { forget, keep, recall } from "./kept";
import { Cell } from "./live";

/** Nothing yet, the client, or why there is none. */
export const session = new Cell<Client | Error | null>(null);
/** False where this browser keeps nothing: a private window, storage that is forbidden. */
export const keeps = new Cell(true);

export async function open(): Promise<void> {
  try {
    const sdk = await import("@educonnect/sdk");
    const deviceName = `browser, ${navigator.platform || "web"}`.slice(0, 60);
    try {
      session.set(await sdk.openClient({ deviceName }));
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
      keeps.set(false);
      session.set(await sdk.openClient({ deviceName, shared: false, disk: async () => new sdk.MemoryDisk() }));
    }
  } catch (error) {
    session.set(error instanceof Error ? error : new Error(String(error)));
  }
}

export async function leave(client: Client): Promise<void> {
  forget();
  people.set(new Map());
  await client.logOut();
}

/** What a person is called. */
export interface Named {
  readonly name: string;
  readonly display: string;
}

const PEOPLE_MAX = 1000;
const ASK_AGAIN_MS = 15_000;
const PAGES_MAX = 10;
const asked = new Map<number, number>();

function recalled(): ReadonlyMap<number, Named> {
  const kept: unknown = JSON.parse(recall("people") || "[]");
  return new Map(Array.isArray(kept) ? (kept as [number, Named][]) : []);
}

/** Names by account, of the communities that were looked at; kept, so that a chat without a network has them. */
export const people = new Cell(recalled());

/** Asks who is in a space, unless that was asked just now. Without a network it is left for later. */
export async function learnNames(client: Client, space: number): Promise<void> {
  if (Date.now() - (asked.get(space) ?? 0) < ASK_AGAIN_MS) return;
  asked.set(space, Date.now());
  try {
    let after = 0;
    for (let n = 0; n < PAGES_MAX; n++) {
      const page = await client.members(space, after);
      const known = new Map(people.value);
      for (const { user, name, display_name: display } of page.members) known.set(user, { name, display: display || name });
      people.set(new Map([...known].slice(-PEOPLE_MAX)));
      keep("people", JSON.stringify([...people.value]));
      after = page.members.at(-1)?.user ?? 0;
      if (!page.more) return;
    }
  } catch {
    // Refused or cut off: who writes is shown without a name, and the next look asks again.
    asked.delete(space);
  }
}

export function nameOf(user: number, me: Me | null, known: ReadonlyMap<number, Named>): string {
  if (me?.user === user) return me.displayName || me.name;
  return known.get(user)?.display ?? "…";
}
