/**
 * How it stands with the server, always in sight: what is saved, what is still on its way, what could not be sent.
 *
 * What it means, and what can be done about it, is in the panel, which comes behind (sync_panel.tsx).
 *
 * Invariant: it never says that something is saved which has no outcome yet.
 */
import { useEffect, useRef } from "preact/hooks";
import type { Client, Status } from "../../../sdk/src/api";
import { network, useLive } from "../live";
import { feelLink } from "../look";
import { beside } from "../opening";
import { count, say, type Key } from "../words";
import { Icon } from "./icon";

export type Mood = "good" | "ask" | "busy" | "away" | "bad";

/** Why a session is over other than by a log-out, of the codes: in a word. */
const OVER: Readonly<Record<number, Key>> = { 4004: "sync.elsewhere", 4005: "sync.old" };

function summary(status: Status, online: boolean): [Mood, string] {
  const { state, pending, failed, behind, conflicts, code } = status;
  if (state === "ended") return ["bad", say(OVER[code] ?? "sync.ended")];
  if (!online || state === "waiting") return ["away", pending ? count("sync.offlinePending", pending) : say("sync.offline")];
  if (state === "connecting") return ["busy", pending ? count("sync.connectingPending", pending) : say("sync.connecting")];
  if (failed) return ["bad", count("sync.failed", failed)];
  if (pending) return ["busy", count("sync.sending", pending)];
  if (behind) return ["busy", say("sync.catchingUp")];
  if (conflicts) return ["ask", count("sync.toDecide", conflicts)];
  return ["good", say("sync.saved")];
}

const SIGNS = { good: "done", ask: "warn", busy: "cloud", away: "off", bad: "warn" } as const;

export function SyncState({ client }: { client: Client }) {
  const status = useLive(client.status);
  const online = useLive(network);
  const [mood, words] = summary(status, online);
  const more = useLive(beside);
  const { roundTripMs } = status;
  useEffect(() => feelLink(roundTripMs), [roundTripMs]);
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
      <div class="panel">{more && <more.SyncPanel client={client} mood={mood} />}</div>
    </details>
  );
}
