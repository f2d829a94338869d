/**
 * What a session does rarely is loaded behind its first connecting, and waited for where it is needed before.
 *
 *     the core: Hello, Welcome, what comes in streams, what is said ─┐
 *                                                                    ├─ rarely(world, act) ─▶ rest.ts
 *     heartbeat, waits, tokens, tickets, refusals, the inbox ────────┘   at once when it is here, else when it has come
 *
 * Invariant: who is here finds it here at once and in the same step; nothing that has to wait for it is lost or put in another order.
 */
import type { World } from "./exchange";

export type Rest = typeof import("./rest");

const RETRY_MS = 2_000;
let here: Rest | undefined;

/** Undefined: it has not come. */
export function rest(): Rest | undefined {
  return here;
}

/** Loads it. Rejected where it cannot be had now. */
export async function bringRest(): Promise<Rest> {
  return (here ??= await fetchRest());
}

/** Chromium remembers of a script that it could not be had, and never asks again under that address, which its error names. That the script
 *  imports nothing but what is here already is seen to by build.mjs. */
async function fetchRest(): Promise<Rest> {
  try {
    return await import("./rest");
  } catch (error) {
    const [address] = /https?:\S+\.js/.exec(String((error as Error).message)) ?? [];
    if (!address) throw error;
    return (await import(`${address}?${Date.now()}`)) as Rest;
  }
}

/** Does it, as soon as that can be done: it is tried until it has come. */
export function rarely({ later }: Pick<World, "later">, act: (rest: Rest) => void): void {
  if (here) act(here);
  else void bringRest().then(act, () => later(RETRY_MS, () => rarely({ later }, act)));
}
