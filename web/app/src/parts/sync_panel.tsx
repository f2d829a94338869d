/** What it means how one stands with the server, and what can be done about it: what was refused, a try at once, a log-in. */
import { useEffect, useState } from "preact/hooks";
import type { Client, Failure, Status } from "../../../sdk/src/api";
import { useLive } from "../live";
import { toPage } from "../place";
import { leave } from "../session";
import { inWords } from "../trouble";
import { booksReady, clock, count, day, say, type Key } from "../words";
import type { Mood } from "./sync_state";

/** What to do where a session is over other than by a log-out, of the codes. Loading the page anew helps. */
const OVER: Readonly<Record<number, Key>> = { 4004: "sync.explainElsewhere", 4005: "sync.explainOld" };
const SLOW_MS = 2000;

/** What the summary means, and what to expect. */
function explained(mood: Mood, { state, code, failed, pending, behind }: Status): string {
  if (state === "ended") return say(OVER[code] ?? "sync.explainEnded");
  if (mood === "bad" && failed) return say("sync.explainFailed");
  if (mood === "good" || mood === "ask") return say("sync.explainSaved");
  return say(state === "online" && behind && !pending ? "sync.explainComing" : "sync.explainWaiting");
}

export function SyncPanel({ client, mood }: { client: Client; mood: Mood }) {
  const status = useLive(client.status);
  const failures = useLive(client.failures);
  const { conflicts, roundTripMs, state, syncedAt } = status;
  const [, told] = useState(false);
  useEffect(() => {
    // What the server refuses it with; without a network its code has to do.
    if (status.failed) void import("../refusals").then(booksReady).then(() => told(true), () => undefined);
  }, [status.failed > 0]);
  return (
    <>
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
    </>
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
