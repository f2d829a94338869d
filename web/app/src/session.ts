/** The one client of this page, and the names of people. The SDK comes by itself, while the door is already to be seen. */
import type { Client, Me } from "../../sdk/src/api";
import { forget, keep, recall } from "./kept";
import { Cell } from "./live";
import { say } from "./words";

/** Nothing yet, the client, or why there is none. */
export const session = new Cell<Client | Error | null>(null);
/** False where this browser keeps nothing: a private window, storage that is forbidden. */
export const keeps = new Cell(true);

/** What this browser is called among the account's devices. */
export const deviceName = `browser, ${navigator.platform || "web"}`.slice(0, 60);

export async function open(): Promise<void> {
  try {
    const sdk = await import("@educonnect/sdk");
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
  // Where that cannot be had: the server pushes nothing to a session that is over.
  if (recall("push")) await import("./pages/notices/push").then(({ pushGone }) => pushGone()).catch(() => undefined);
  people.set(new Map());
  await client.logOut();
}

/** What a person is called. */
export interface Named {
  readonly name: string;
  readonly display: string;
}

const PEOPLE_MAX = 1000;
const PAGES_MAX = 10;
const asking = new Set<number>();
/** Who is in no community that was looked at: they have left. */
export const strangers = new Set<number>();

function recalled(): ReadonlyMap<number, Named> {
  const kept: unknown = JSON.parse(recall("people") || "[]");
  return new Map(Array.isArray(kept) ? (kept as [number, Named][]) : []);
}

/** Names by account, of the communities that were looked at; kept, so that a chat without a network has them. */
export const people = new Cell(recalled());

/** Asks who is in a space. Without a network it is left for later. `wanted`: whoever is not found among them is not asked for again. */
export async function learnNames(client: Client, space: number, wanted: readonly number[] = []): Promise<void> {
  if (asking.has(space)) return;
  asking.add(space);
  try {
    let after = 0;
    for (let n = 0; n < PAGES_MAX; n++) {
      const page = await client.members(space, after);
      const known = new Map(people.value);
      for (const { user, name, display_name: display } of page.members) known.set(user, { name, display: display || name });
      people.set(new Map([...known].slice(-PEOPLE_MAX)));
      keep("people", JSON.stringify([...people.value]));
      after = page.members.at(-1)?.user ?? 0;
      if (!page.more) break;
    }
    for (const user of wanted) if (!people.value.has(user)) strangers.add(user);
  } catch {
    // Refused or cut off: who writes is shown without a name, and the next one without a name asks again.
    return;
  } finally {
    asking.delete(space);
  }
}

export function nameOf(user: number, me: Me | null, known: ReadonlyMap<number, Named>): string {
  if (me?.user === user) return me.displayName || me.name;
  return known.get(user)?.display ?? say("talk.somebody");
}
