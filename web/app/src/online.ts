/** Whether something can be asked of the server now. The browser knows that its network went sooner than a socket does. */
import type { Client } from "../../sdk/src/api";
import { network, useLive } from "./live";

export function useOnline(client: Client): boolean {
  const { state } = useLive(client.status);
  return useLive(network) && state === "online";
}
