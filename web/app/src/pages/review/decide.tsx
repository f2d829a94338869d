/** Two ways to decide. Both say what follows before they are pressed. */
import { useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import type { Operation } from "../../../../sdk/src/protocol";
import { useAct } from "../../act";
import { say } from "./words";

export interface Way {
  readonly label: string;
  readonly strong?: boolean;
  readonly operation: Operation;
}

interface Given {
  readonly client: Client;
  readonly online: boolean;
  readonly follows: string;
  readonly ways: readonly Way[];
  readonly onDone: () => void;
}

export function Decide({ client, online, follows, ways, onDone }: Given) {
  const [kept, setKept] = useState(false);
  const { wrong, busy, act } = useAct();
  const decide = ({ operation }: Way) =>
    act(async () => {
      const sent = client.submit(operation);
      if (!online) {
        // What becomes of it later is among what could not be sent, if it is refused.
        sent.catch(() => undefined);
        return setKept(true);
      }
      await sent;
      onDone();
    });
  if (kept) return <p class="note done" role="status">{say("kept")}</p>;
  return (
    <>
      <p class="quiet">{follows}</p>
      <p class="review-acts">
        {ways.map((way) => (
          <button key={way.label} class={way.strong ? "main" : ""} disabled={busy} onClick={() => void decide(way)}>
            {way.label}
          </button>
        ))}
      </p>
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
    </>
  );
}
