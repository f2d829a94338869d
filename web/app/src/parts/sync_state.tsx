/**
 * How it stands with the server, always in sight: what is saved, what is still on its way, what could not be sent.
 *
 * Invariant: it never says that something is saved which has no outcome yet.
 */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Client, Failure, Status } from "../../../sdk/src/api";
import { network, useLive } from "../live";
import { feelLink } from "../look";
import { toPage } from "../place";
import { leave } from "../session";
import { inWords } from "../trouble";
import { booksReady, clock, count, day, say, type Key } from "../words";
import { Icon } from "./icon";

type Mood = "good" | "ask" | "busy" | "away" | "bad";

/** Why a session is over other than by a log-out, of the codes: in a word, and what to do. Loading the page anew helps. */
const OVER: Readonly<Record<number, readonly [Key, Key]>> = { 4004: ["sync.elsewhere", "sync.explainElsewhere"], 4005: ["sync.old", "sync.explainOld"] };
const SLOW_MS = 2000;

function summary(status: Status, online: boolean): [Mood, string] {
  const { state, pending, failed, behind, conflicts, code } = status;
  if (state === "ended") return ["bad", say(OVER[code]?.[0] ?? "sync.ended")];
  if (!online || state === "waiting") return ["away", pending ? count("sync.offlinePending", pending) : say("sync.offline")];
  if (state === "connecting") return ["busy", pending ? count("sync.connectingPending", pending) : say("sync.connecting")];
  if (failed) return ["bad", count("sync.failed", failed)];
  if (pending) return ["busy", count("sync.sending", pending)];
  if (behind) return ["busy", say("sync.catchingUp")];
  if (conflicts) return ["ask", count("sync.toDecide", conflicts)];
  return ["good", say("sync.saved")];
}

/** What the summary means, and what to expect. */
function explained(mood: Mood, { state, code, failed, pending, behind }: Status): string {
  if (state === "ended") return say(OVER[code]?.[1] ?? "sync.explainEnded");
  if (mood === "bad" && failed) return say("sync.explainFailed");
  if (mood === "good" || mood === "ask") return say("sync.explainSaved");
  return say(state === "online" && behind && !pending ? "sync.explainComing" : "sync.explainWaiting");
}

const SIGNS = { good: "done", ask: "warn", busy: "cloud", away: "off", bad: "warn" } as const;

export function SyncState({ client }: { client: Client }) {
  const status = useLive(client.status);
  const failures = useLive(client.failures);
  const online = useLive(network);
  const [mood, words] = summary(status, online);
  const { conflicts, roundTripMs, state, syncedAt } = status;
  useEffect(() => feelLink(roundTripMs), [roundTripMs]);
  const [, told] = useState(false);
  useEffect(() => {
    // What the server refuses it with; without a network its code has to do.
    if (status.failed) void import("../refusals").then(booksReady).then(() => told(true), () => undefined);
  }, [status.failed > 0]);
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
        <p>{explained(mood, status)}</p>
        {syncedAt > 0 && mood !== "good" && mood !== "ask" && <p class="quiet">{say("sync.at", { time: sinceWhen(syncedAt / 1000) })}</p>}
        {mood !== "away" && roundTripMs > SLOW_MS && <p class="quiet">{say("sync.slow", { s: Math.round(roundTripMs / 1000) })}</p>}
        <a href={toPage("conflicts")}>{conflicts > 0 ? count("sync.conflicts", conflicts) : say("sync.decisions")}</a>
        {failures.length > 0 && (
          <ul class="failures">
            {failures.map((one) => (
              <FailureRow key={one.key} client={client} failure={one} />
            ))}
          </ul>
        )}
        {mood === "away" && <button onClick={() => client.hurry()}>{say("sync.tryNow")}</button>}
        {state === "ended" &&
          (OVER[status.code] ? <button onClick={() => location.reload()}>{say("sync.load")}</button> : <button onClick={() => void leave(client)}>{say("sync.logInAgain")}</button>)}
      </div>
    </details>
  );
}

/** A time of today by the clock, another one with its day. */
function sinceWhen(at: number): string {
  return day(at) === day(Date.now() / 1000) ? clock(at) : `${day(at)}, ${clock(at)}`;
}

function FailureRow({ client, failure }: { client: Client; failure: Failure }) {
  const { operation, code, detail, key } = failure;
  const text = "text" in operation && typeof operation.text === "string" ? operation.text : "name" in operation ? String(operation.name) : "";
  const again = () => {
    // Kept anew before the refused one goes.
    client.submit(operation).catch(() => undefined);
    void client.discard(key);
  };
  return (
    <li>
      {text ? <q dir="auto">{text.slice(0, 120)}</q> : <span>{say("sync.aChange")}</span>}
      <span class="quiet" dir="auto">{inWords({ code, message: detail })}</span>
      <span>
        <button onClick={again}>{say("app.again")}</button> <button class="plain" onClick={() => void client.discard(key)}>{say("sync.putAway")}</button>
      </span>
    </li>
  );
}
