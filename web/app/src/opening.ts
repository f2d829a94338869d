/** The one client of this page. The SDK comes by itself, while the door is already to be seen. */
import type { Client } from "../../sdk/src/api";
import { Cell } from "./live";

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
