/** The names of people, and leaving. What is before the door is in opening.ts. */
import type { Client, Me } from "../../sdk/src/api";
import { forget, keep, recall } from "./kept";
import { Cell } from "./live";
import { say } from "./words";

export { deviceName, keeps, open, session } from "./opening";

export async function leave(client: Client): Promise<void> {
  forget();
  keep("known", "");
  // Where that cannot be done: the server pushes nothing to a session that is over.
  if (recall("push")) await import("./pages/notices/push").then(({ pushOff }) => pushOff(client)).catch(() => undefined);
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
