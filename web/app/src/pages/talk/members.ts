/** Who is in a community, asked for once a visit; without a network, whoever is known by name. */
import type { Client } from "../../../../sdk/src/api";
import type { Member } from "../../../../sdk/src/protocol";
import { people } from "../../session";

const PAGES_MAX = 10;
const FRESH_MS = 300_000;
const asked = new Map<number, { readonly at: number; readonly members: Promise<readonly Member[]> }>();

export function membersOf(client: Client, space: number): Promise<readonly Member[]> {
  const before = asked.get(space);
  if (before && Date.now() - before.at < FRESH_MS) return before.members;
  const members = load(client, space).catch(() => {
    asked.delete(space);
    return [...people.value].map(([user, { name, display }]) => ({ user, role: 0, name, display_name: display }));
  });
  asked.set(space, { at: Date.now(), members });
  return members;
}

async function load(client: Client, space: number): Promise<readonly Member[]> {
  const all: Member[] = [];
  if (client.status.value.state !== "online") throw new Error("offline");
  for (let n = 0; n < PAGES_MAX; n++) {
    const page = await client.members(space, all.at(-1)?.user ?? 0);
    all.push(...page.members);
    if (!page.more) break;
  }
  return all;
}
