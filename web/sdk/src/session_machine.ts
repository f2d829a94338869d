/**
 * The client's side of a session, over as many sockets as it takes: a table of states and inputs, and nothing that waits.
 *
 *                        ┌▶ resuming ─Resumed─╮
 *                        │     ▼ TicketRefused▼
 *     idle ─▶ connecting ┴▶ greeting ─Welcome─▶ online ─▶ draining
 *                 ▲  ▲          │ Cut             │ Cut, Goodbye ▶ leaving
 *                 │  └─renewing◀┤                 │
 *                 └────waiting◀─┴─────────────────┘        ended: a code that says so, or the owner's wish
 *
 * The same as protocol/client_session.py, which gives the reasons for its figures; tests/vectors/session.json says so. Waits grow by full
 * jitter: uniform between zero and a doubling bound, so that a crowd that lost its server together does not come back together.
 *
 * Invariant: `step` is a function of its arguments. An input that the table does not list throws `IllegalInput` and changes nothing.
 */
import { Code, RECONNECT, type Goodbye, type Reconnect } from "./protocol";

const BACKOFF_BASE_MS = 500;
const BACKOFF_MAX_MS = 8_000;
const BACKOFF_BLAMED_MAX_MS = 60_000;
const STEADY_MS = 3_000;
const HURRIED_MS = 1_000;
const BLAMED: readonly number[] = [Code.BAD_FRAME, Code.ILLEGAL, Code.FLOOD];
const ECHO_MS = 45_000;
const ECHOES_MAX = 2;
const RENEWALS_MAX = 3;

/** What can happen: frames about the session itself, and what whoever runs it has seen. Any other frame is `Traffic`. */
export type Input =
  | { readonly type: "Began" | "TicketRefused" | "Traffic" | "Waited" | "Renewed" | "Stopped" }
  | { readonly type: "Connected"; readonly ticket: boolean }
  | { readonly type: "ConnectFailed" | "RenewFailed" | "TokenRefused"; readonly detail: string }
  | Cut
  | { readonly type: "Broken"; readonly code: Code; readonly detail: string }
  | { readonly type: "Welcome"; readonly epoch: number; readonly last_number: number }
  | { readonly type: "Resumed"; readonly last_number: number }
  | { readonly type: "Draining"; readonly delay_ms: number }
  | Goodbye;

/** The socket is gone. `code` is the WebSocket close code or one of `Code`; 0 and 1006 say that nobody said why. `online_ms`: how long the
 *  session was open; `waited_ms`: how much of a delay announced by `Draining` has passed. */
export interface Cut {
  readonly type: "Cut";
  readonly code: number;
  readonly detail: string;
  readonly online_ms: number;
  readonly waited_ms: number;
}

/** What to do next. `Leave`: send `Bye` and close; `Wait`: without a socket, and after `least_ms` already if there is a hurry. */
export type Action =
  | { readonly type: "Connect" | "Greet" | "ShowTicket" | "Leave" | "Close" | "Renew" }
  | { readonly type: "Resume"; readonly last_number: number; readonly reset: boolean }
  | { readonly type: "LeaveAfter"; readonly ms: number }
  | { readonly type: "Wait"; readonly ms: number; readonly least_ms: number };

export type State = "idle" | "connecting" | "greeting" | "resuming" | "online" | "draining" | "leaving" | "waiting" | "renewing" | "ended";

/** Why a session is over for good. `code` 0 is the owner's wish. */
export interface End {
  readonly code: number;
  readonly detail: string;
}

/** All that the machine remembers. */
export interface Session {
  readonly state: State;
  readonly epoch: number;
  readonly failures: number;
  readonly echoes: number;
  readonly renewals: number;
  readonly renew_first: boolean;
  readonly delay_ms: number;
  readonly moving: boolean;
  readonly by_ticket: boolean;
  readonly token_first: boolean;
  readonly told: Goodbye | null;
  readonly end: End | null;
}

export const NEW: Session = {
  state: "idle",
  epoch: 0,
  failures: 0,
  echoes: 0,
  renewals: 0,
  renew_first: false,
  delay_ms: 0,
  moving: false,
  by_ticket: false,
  token_first: false,
  told: null,
  end: null,
};

export interface Step {
  readonly session: Session;
  readonly actions: readonly Action[];
}

/** An input that the present state does not know: a fault of the server's, or of whoever runs the machine. */
export class IllegalInput extends Error {
  readonly legal: readonly string[];

  constructor(state: State, name: string, legal: readonly string[]) {
    super(`${name} in ${state}; legal here: ${legal.join(", ")}`);
    this.legal = legal;
  }
}

/** Full jitter: uniform in [0, base · 2^failures), bounded. `spread` is the uniform number in [0, 1). */
export function backoffMs(failures: number, spread: number, boundMs = BACKOFF_MAX_MS): number {
  return Math.floor(spread * Math.min(boundMs, BACKOFF_BASE_MS * 2 ** Math.min(failures, 16)));
}

/** What to do after a socket ended with `code`; codes that are not known are taken for weather. */
export function reconnectRule(code: number): Reconnect {
  return RECONNECT[code] ?? "wait";
}

/** What `happened` makes of `session`. `spread` is uniform in [0, 1) and used for waits. Throws `IllegalInput`. */
export function step(session: Session, happened: Input, spread: number): Step {
  const rules = RULES[session.state];
  const decide = rules[happened.type];
  if (!decide) throw new IllegalInput(session.state, happened.type, Object.keys(rules).sort());
  return decide(session, happened as never, spread);
}

type Decide<T = never> = (session: Session, happened: T, spread: number) => Step;
type Of<T extends Input["type"]> = Extract<Input, { type: T }>;

function to(session: Session, changes: Partial<Session>, ...actions: Action[]): Step {
  return { session: { ...session, ...changes }, actions };
}

const connect: Decide<unknown> = (session) => to(session, { state: "connecting", renew_first: false, told: null }, { type: "Connect" });

const begin: Decide<Of<"Connected">> = (session, { ticket }) =>
  ticket && !session.token_first
    ? to(session, { state: "resuming", by_ticket: true }, { type: "ShowTicket" })
    : to(session, { state: "greeting" }, { type: "Greet" });

const greet: Decide<unknown> = (session) => to(session, { state: "greeting", by_ticket: false }, { type: "Greet" });

const open: Decide<Of<"Welcome">> = (session, { epoch, last_number }) =>
  to(session, { state: "online", epoch, renewals: 0, token_first: false }, { type: "Resume", last_number, reset: ![0, epoch].includes(session.epoch) });

/** A ticket is of one epoch: nothing was restored since. */
const resume: Decide<Of<"Resumed">> = (session, { last_number }) =>
  to(session, { state: "online", renewals: 0, by_ticket: false }, { type: "Resume", last_number, reset: false });

const stay: Decide<unknown> = (session) => to(session, {});

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

const stop: Decide<unknown> = (session) =>
  to(session, { state: "ended", end: { code: 0, detail: "" } }, { type: session.state === "online" || session.state === "draining" ? "Leave" : "Close" });

const RULES: Record<State, Partial<Record<Input["type"], Decide>>> = {
  idle: { Began: connect, Stopped: stop },
  connecting: { Connected: begin, ConnectFailed: retry, RenewFailed: renewLater, TokenRefused: refuseToken, Stopped: stop },
  greeting: { Welcome: open, Goodbye: hearGoodbye, Cut: lose, Stopped: stop },
  resuming: { Resumed: resume, TicketRefused: greet, Goodbye: hearGoodbye, Cut: lose, Stopped: stop },
  online: { Traffic: stay, Draining: drain, Goodbye: hearGoodbye, Cut: lose, Broken: fail, Stopped: stop },
  draining: { Traffic: stay, Draining: drain, Waited: move, Goodbye: hearGoodbye, Cut: loseWhileDraining, Broken: fail, Stopped: stop },
  // Frames that were on their way when the end was decided are still good; a wait that ends now comes too late to matter.
  leaving: { Traffic: stay, Draining: stay, Goodbye: hearGoodbye, Waited: stay, Cut: left, Broken: fail, Stopped: stop },
  waiting: { Waited: waited, Stopped: stop },
  renewing: { Renewed: connect, RenewFailed: renewLater, TokenRefused: refuseToken, Stopped: stop },
  // What was still on its way when the end was decided changes nothing.
  ended: { Traffic: stay, Draining: stay, Goodbye: stay, Waited: stay, Cut: stay, Stopped: stay },
};
