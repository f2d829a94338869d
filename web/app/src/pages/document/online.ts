/** Whether what is written now goes out now: the browser knows of a network, and there is a socket. */
import type { Client } from "../../../../sdk/src/api";
import { network, useLive } from "../../live";

export function useOnline(client: Client): boolean {
  const { state } = useLive(client.status);
  return useLive(network) && state === "online";
}
