/** The names of people and of their conversations, and leaving. What is before the door is in opening.ts. */
import { useEffect } from "preact/hooks";
import type { Client, Me, SpaceView } from "../../sdk/src/api";
import { forget, keep, recall } from "./kept";
import { Cell, useLive } from "./live";
import { say } from "./words";

export { deviceName, keeps, open, session } from "./opening";

export async function leave(client: Client): Promise<void> {
  forget();
  keep("known", "");
  // Where that cannot be done: the server pushes nothing to a session that is over.
  if (recall("push")) await import("./pages/notices/push").then(({ pushOff }) => pushOff(client)).catch(() => undefined);
  people.set(new Map());
  circles.set(new Map());
  await client.logOut();
}

/** What a person is called. */
export interface Named {
  readonly name: string;
  readonly display: string;
}

/** A kind of stream (docs/protocol.md). */
const CONVERSATION = 4;
const PEOPLE_MAX = 1000;
const PAGES_MAX = 10;
const asking = new Set<number>();
/** Who is in no community that was looked at: they have left. */
export const strangers = new Set<number>();

function recalled<T>(name: string): ReadonlyMap<number, T> {
  const kept: unknown = JSON.parse(recall(name) || "[]");
  return new Map(Array.isArray(kept) ? (kept as [number, T][]) : []);
}

/** Names by account, of the communities that were looked at; kept, so that a chat without a network has them. */
export const people = new Cell(recalled<Named>("people"));

/** A conversation has twenty people at most. */
const CIRCLE_MAX = 20;
const CIRCLES_MAX = 200;
/** Who is in a space, of those that are small: a conversation has no name but theirs. Kept as the names are. */
export const circles = new Cell(recalled<readonly number[]>("circles"));

/** Asks who is in a space. Without a network it is left for later. `wanted`: whoever is not found among them is not asked for again. */
export async function learnNames(client: Client, space: number, wanted: readonly number[] = []): Promise<void> {
  if (asking.has(space)) return;
  asking.add(space);
  const found: number[] = [];
  try {
    let after = 0;
    for (let n = 0; n < PAGES_MAX; n++) {
      const page = await client.members(space, after);
      const known = new Map(people.value);
      for (const { user, name, display_name: display } of page.members) known.set(user, { name, display: display || name });
      people.set(new Map([...known].slice(-PEOPLE_MAX)));
      keep("people", JSON.stringify([...people.value]));
      found.push(...page.members.map(({ user }) => user));
      after = page.members.at(-1)?.user ?? 0;
      if (!page.more) break;
    }
    if (found.length <= CIRCLE_MAX) {
      circles.set(new Map([...circles.value].filter(([one]) => one !== space).concat([[space, found]]).slice(-CIRCLES_MAX)));
      keep("circles", JSON.stringify([...circles.value]));
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

const LEARNT_MAX = 20;

/** What a space is called: by its name, or by who else is in it. What is not known yet of conversations is asked for, a few at a time. */
export function useTitles(client: Client): (space: SpaceView) => string {
  const known = useLive(people);
  const inside = useLive(circles);
  const me = useLive(client.me);
  const { spaces } = useLive(client.places);
  const { state } = useLive(client.status);
  const nameless = spaces.filter(({ name, space, streams }) => !name && streams.some(({ kind }) => kind === CONVERSATION) && !inside.has(space)).slice(-LEARNT_MAX);
  useEffect(() => {
    if (state === "online") for (const { space } of nameless) void learnNames(client, space);
  }, [state, nameless.map(({ space }) => space).join()]);
  return ({ space, name }) => {
    const others = (inside.get(space) ?? []).filter((one) => one !== me?.user).flatMap((one) => known.get(one)?.display ?? []);
    return name || others.join(", ") || say("places.conversation");
  };
}
