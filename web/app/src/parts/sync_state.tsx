/**
 * How it stands with the server, always in sight: what is saved, what is still on its way, what could not be sent.
 *
 * Invariant: it never says that something is saved which has no outcome yet.
 */
import { useEffect, useRef } from "preact/hooks";
import type { Client, Failure, Status } from "../../../sdk/src/api";
import { network, useLive } from "../live";
import { leave } from "../session";
import { clock, count, say } from "../words";
import { Icon } from "./icon";

type Mood = "good" | "busy" | "away" | "bad";

function summary(status: Status, online: boolean): [Mood, string] {
  const { state, pending, failed, behind } = status;
  if (state === "ended") return ["bad", say("sync.ended")];
  if (!online || state === "waiting") return ["away", pending ? count("sync.offlinePending", pending) : say("sync.offline")];
  if (state === "connecting") return ["busy", pending ? count("sync.sending", pending) : say("sync.connecting")];
  if (failed) return ["bad", count("sync.failed", failed)];
  if (pending) return ["busy", count("sync.sending", pending)];
  if (behind) return ["busy", say("sync.catchingUp")];
  return ["good", say("sync.saved")];
}

const SIGNS = { good: "done", busy: "cloud", away: "off", bad: "warn" } as const;

export function SyncState({ client }: { client: Client }) {
  const status = useLive(client.status);
  const failures = useLive(client.failures);
  const online = useLive(network);
  const [mood, words] = summary(status, online);
  const box = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    // Whoever goes on elsewhere does not have to close it.
    const close = ({ target }: Event) => {
      if (box.current && !(target instanceof Node && box.current.contains(target))) box.current.open = false;
    };
    addEventListener("pointerdown", close);
    addEventListener("hashchange", close);
    return () => {
      removeEventListener("pointerdown", close);
      removeEventListener("hashchange", close);
    };
  }, []);
  return (
    <details ref={box} class={`sync ${mood}`}>
      <summary>
        <Icon name={SIGNS[mood]} />
        <span role="status">{words}</span>
      </summary>
      <div class="panel">
        <p>{mood === "good" ? say("sync.explainSaved") : mood === "bad" && !failures.length ? say("sync.explainEnded") : say("sync.explainWaiting")}</p>
        {status.syncedAt > 0 && <p class="quiet">{say("sync.at", { time: clock(status.syncedAt / 1000) })}</p>}
        {status.conflicts > 0 && <p class="quiet">{count("sync.conflicts", status.conflicts)}</p>}
        {failures.length > 0 && (
          <ul class="failures">
            {failures.map((one) => (
              <FailureRow key={one.key} client={client} failure={one} />
            ))}
          </ul>
        )}
        {mood === "away" && <button onClick={() => client.hurry()}>{say("sync.tryNow")}</button>}
        {status.state === "ended" && <button onClick={() => void leave(client)}>{say("sync.logInAgain")}</button>}
      </div>
    </details>
  );
}

function FailureRow({ client, failure }: { client: Client; failure: Failure }) {
  const { operation, detail, key } = failure;
  const text = "text" in operation && typeof operation.text === "string" ? operation.text : "name" in operation ? String(operation.name) : "";
  return (
    <li>
      {text && <q dir="auto">{text.slice(0, 120)}</q>}
      <span class="quiet" dir="auto">{detail}</span>
      <button onClick={() => void client.discard(key)}>{say("sync.putAway")}</button>
    </li>
  );
}
