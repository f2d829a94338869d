/** What the server says of the account, asked when it is first shown and again when it may have changed. */
import { useEffect, useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import { inWords } from "../../trouble";

/** The answer of a route, null as long as there is none; `again` asks anew. */
export function useKnown<T>(client: Client, route: string): { readonly known: T | null; readonly trouble: string; again(): Promise<void> } {
  const [known, setKnown] = useState<T | null>(null);
  const [trouble, setTrouble] = useState("");
  const again = async () => {
    try {
      setKnown(await client.ask<T>("GET", route));
      setTrouble("");
    } catch (error) {
      setTrouble(inWords(error));
    }
  };
  useEffect(() => void again(), [client, route]);
  return { known, trouble, again };
}
