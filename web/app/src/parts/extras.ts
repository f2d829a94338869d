/** What a conversation has beyond words: files, people's cards, lists of names. It comes by itself, a moment after the words. */
import { Cell } from "../live";
import { style } from "./lazy";
import { booksReady } from "../words";

export type Extras = typeof import("../pages/talk/extras");
export const extras = new Cell<Extras | null>(null);
let coming: Promise<void> | undefined;

async function bring(): Promise<void> {
  const [here] = await Promise.all([import("../pages/talk/extras"), style()]);
  await booksReady();
  extras.set(here);
}

/** Without a network, and for the first time here, it is left for later. */
export function wantExtras(): void {
  coming ??= bring().catch(() => void (coming = undefined));
}
addEventListener("online", () => void (coming || wantExtras()));

/** What lies over a conversation: somebody's card, or a report about a message or a person. */
export type Over =
  | { readonly kind: "person"; readonly user: number }
  | { readonly kind: "report"; readonly user: number; readonly message: number };
export const over = new Cell<Over | null>(null);

export function showPerson(user: number): void {
  wantExtras();
  over.set({ kind: "person", user });
}

export function report(user: number, message = 0): void {
  wantExtras();
  over.set({ kind: "report", user, message });
}
