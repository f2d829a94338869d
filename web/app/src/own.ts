/** One's own records: what a person says of themselves and prefers, on all of their devices. Written without a network, too. */
import type { Client, Places } from "../../sdk/src/api";
import type { Value } from "../../sdk/src/protocol";

/** Kinds of streams, entities and their fields (docs/entities.md). */
const OWN = 8;
export const PROFILE = 3;
export const TIME_ZONE = 4;
export const PREFERENCES = 4;
export const LANGUAGE = 2;
export const QUIET_FROM = 4;
export const QUIET_TO = 5;
export const ONLY = 1;

/** The stream of one's own records; 0: it is not known here yet. */
export function ownStream({ spaces }: Places): number {
  return spaces.flatMap(({ streams }) => streams).find(({ kind }) => kind === OWN)?.stream ?? 0;
}

/** Writes fields of one's profile or preferences. Fulfilled when the server has them; nothing happens before one's records are known here. */
export async function writeOwn(client: Client, entity: number, fields: ReadonlyMap<number, Value>): Promise<void> {
  const stream = ownStream(client.places.value);
  if (stream) await client.change(stream, entity, ONLY, fields);
}

/** In which language mails and pushes are. */
export function tellLanguage(client: Client, language: string): Promise<void> {
  return writeOwn(client, PREFERENCES, new Map([[LANGUAGE, language]]));
}
