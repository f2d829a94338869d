/**
 * The rules of the session machine for all but the way in: tickets, moves, what follows when a socket has ended.
 *
 * Waits grow by full jitter: uniform between zero and a doubling bound, so that a crowd that lost its server together does not come back
 * together.
 *
 * Invariant: with these the table is that of protocol/client_session.py.
 */
import { Code, RECONNECT, type Goodbye, type Reconnect } from "./protocol";
import { backoffMs, connect, stay, to, type Cut, type Decide, type Of, type Rules, type Session, type Step } from "./session_machine";

const BACKOFF_BLAMED_MAX_MS = 60_000;
const STEADY_MS = 3_000;
const HURRIED_MS = 1_000;
const BLAMED: readonly number[] = [Code.BAD_FRAME, Code.ILLEGAL, Code.FLOOD];
const ECHO_MS = 45_000;
const ECHOES_MAX = 2;
const RENEWALS_MAX = 3;

/** What to do after a socket ended with `code`; codes that are not known are taken for weather. */
export function reconnectRule(code: number): Reconnect {
  return RECONNECT[code] ?? "wait";
}

const greet: Decide<unknown> = (session) => to(session, { state: "greeting", by_ticket: false }, { type: "Greet" });

/** A ticket is of one epoch: nothing was restored since. */
const resume: Decide<Of<"Resumed">> = (session, { last_number }) =>
  to(session, { state: "online", renewals: 0, by_ticket: false }, { type: "Resume", last_number, reset: false });

const drain: Decide<Of<"Draining">> = (session, { delay_ms }) => {
  const ms = Math.max(0, delay_ms);
  return to(session, { state: "draining", delay_ms: ms }, { type: "LeaveAfter", ms });
};

/** The announced delay is over: go of one's own accord, and come back at once. */
const move: Decide<unknown> = (session) => to(session, { state: "leaving", delay_ms: 0, moving: true }, { type: "Leave" });

const hearGoodbye: Decide<Goodbye> = (session, told) => to(session, { state: "leaving", moving: false, told }, { type: "Close" });

function wait(session: Session, floorMs: number, spread: number, boundMs?: number): Step {
  const ms = floorMs + backoffMs(session.failures, spread, boundMs);
  const least_ms = Math.min(ms, Math.max(floorMs, HURRIED_MS));
  return to(session, { state: "waiting", failures: session.failures + 1, delay_ms: 0, told: null }, { type: "Wait", ms, least_ms });
}

const retry: Decide<unknown> = (session, _, spread) => wait(session, 0, spread);

const renewLater: Decide<unknown> = (session, _, spread) => wait({ ...session, renew_first: true }, 0, spread);

/** The socket is gone: what the server said last decides, else the close code. */
const lose: Decide<Cut> = (session, cut, spread) => {
  const followedABrokenOne = session.failures > 0;
  if (cut.online_ms >= ECHO_MS) session = { ...session, echoes: 0 };
  if (cut.online_ms >= STEADY_MS) session = { ...session, failures: 0 };
  const told = session.told;
  const code = told ? told.code : cut.code;
  const floorMs = told ? Math.max(0, told.wait_ms) : 0;
  const detail = told ? told.detail : cut.detail;
  const rule = reconnectRule(code);
  const byTicket = session.by_ticket;
  session = { ...session, by_ticket: false };
  // The ticket may be of a session that a later login put an end to: whether there is one, the token decides.
  if (code === Code.REVOKED && byTicket) return wait({ ...session, token_first: true }, floorMs, spread);
  if (code === Code.TAKEN_OVER && followedABrokenOne && cut.online_ms < ECHO_MS && session.echoes < ECHOES_MAX) {
    return wait({ ...session, echoes: session.echoes + 1 }, floorMs, spread);
  }
  if (rule === "no") return to(session, { state: "ended", end: { code, detail } });
  if (rule === "refresh" && session.renewals >= RENEWALS_MAX) {
    return to(session, { state: "ended", end: { code, detail: "a fresh token was refused again and again; log in again" } });
  }
  if (rule === "refresh") return to(session, { state: "renewing", renewals: session.renewals + 1, told: null }, { type: "Renew" });
  if (rule === "now" && session.failures === 0) {
    return to(session, { state: "waiting", failures: 1, told: null }, { type: "Wait", ms: floorMs, least_ms: floorMs });
  }
  return wait(session, floorMs, spread, BLAMED.includes(code) ? BACKOFF_BLAMED_MAX_MS : undefined);
};

/** Cut before the announced delay was over: its rest is still owed, unless the code says something stronger. */
const loseWhileDraining: Decide<Cut> = (session, cut, spread) => {
  if (["no", "refresh"].includes(reconnectRule(cut.code))) return lose(session, cut, spread);
  const ms = Math.max(0, session.delay_ms - cut.waited_ms);
  return to(session, { state: "waiting", failures: 0, delay_ms: 0 }, { type: "Wait", ms, least_ms: ms });
};

/** After a move of our own the way back is at once; otherwise the server's goodbye decides. */
const left: Decide<Cut> = (session, cut, spread) =>
  session.moving ? to(session, { state: "connecting", failures: 0, moving: false }, { type: "Connect" }) : lose(session, cut, spread);

const waited: Decide<unknown> = (session, happened, spread) =>
  session.renew_first ? to(session, { state: "renewing", renew_first: false }, { type: "Renew" }) : connect(session, happened, spread);

const refuseToken: Decide<Of<"TokenRefused">> = (session, { detail }) => to(session, { state: "ended", end: { code: Code.UNAUTHENTICATED, detail } });

const fail: Decide<Of<"Broken">> = (session, { code, detail }) => to(session, { state: "ended", end: { code, detail } }, { type: "Close" });

/** For `learnRules`. */
export const RULES: Partial<Rules> = {
  connecting: { ConnectFailed: retry, RenewFailed: renewLater, TokenRefused: refuseToken },
  greeting: { Goodbye: hearGoodbye, Cut: lose },
  resuming: { Resumed: resume, TicketRefused: greet, Goodbye: hearGoodbye, Cut: lose },
  online: { Draining: drain, Goodbye: hearGoodbye, Cut: lose, Broken: fail },
  draining: { Traffic: stay, Draining: drain, Waited: move, Goodbye: hearGoodbye, Cut: loseWhileDraining, Broken: fail },
  // Frames that were on their way when the end was decided are still good; a wait that ends now comes too late to matter.
  leaving: { Traffic: stay, Draining: stay, Goodbye: hearGoodbye, Waited: stay, Cut: left, Broken: fail },
  waiting: { Waited: waited },
  renewing: { Renewed: connect, RenewFailed: renewLater, TokenRefused: refuseToken },
};
