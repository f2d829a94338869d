/**
 * Whether the lessons are on this device: said as it is, and what one can do about it.
 *
 * Invariant: it never says that something is here which is not, nor that it stays where the browser has not promised it.
 */
import { useEffect, useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import type { Learning } from "../../../../sdk/src/learning";
import { network, useLive } from "../../live";
import { Icon } from "../../parts/icon";
import { clock, day } from "../../words";
import { say } from "./words";

type Promised = "unknown" | "yes" | "no" | "refused";

export function KeptHere({ client, learning }: { client: Client; learning: Learning }) {
  const { syncedAt, behind } = useLive(client.status);
  const online = useLive(network);
  const [promised, setPromised] = useState<Promised>("unknown");
  useEffect(() => {
    navigator.storage?.persisted?.().then((yes) => setPromised(yes ? "yes" : "no"), () => undefined);
  }, []);
  const ask = async () => setPromised((await navigator.storage.persist()) ? "yes" : "refused");
  const { kept } = learning;
  if (kept === "unknown" || kept === "none") return null;
  if (kept === "coming") {
    const words = online && behind ? say("kept.coming") : online ? say("kept.noRoom") : say("kept.away");
    return (
      <p class="note kept" role="status">
        <Icon name="cloud" />
        <span>{words}</span>
      </p>
    );
  }
  const when = syncedAt ? `${day(syncedAt / 1000)}, ${clock(syncedAt / 1000)}` : "";
  return (
    <div class="kept quiet">
      <Icon name="done" />
      <p>
        {when && !online ? say("kept.hereSince", { when }) : say("kept.here")}
        {promised === "no" && (
          <>
            {" "}
            {say("kept.mayGo")}{" "}
            <button class="plain" onClick={() => void ask()}>
              {say("kept.ask")}
            </button>
          </>
        )}
        {promised === "refused" && <span role="status"> {say("kept.refused")}</span>}
        {promised === "yes" && ` ${say("kept.promised")}`}
      </p>
    </div>
  );
}
