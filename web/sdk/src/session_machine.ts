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
 * The same as protocol/client_session.py, which gives the reasons for its figures; tests/vectors/session.json says so. Here is the way in; what
 * follows when a socket ends, moves or is refused is in session_rules.ts.
 *
 * Invariant: `step` is a function of its arguments. An input that the table does not list throws `IllegalInput` and changes nothing.
 */
import type { Code, Goodbye } from "./protocol";

const BACKOFF_BASE_MS = 500;
const BACKOFF_MAX_MS = 8_000;
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

/** What `happened` makes of `session`. `spread` is uniform in [0, 1) and used for waits. Throws `IllegalInput`. */
export function step(session: Session, happened: Input, spread: number): Step {
  const rules = RULES[session.state];
  const decide = rules[happened.type];
  if (!decide) throw new IllegalInput(session.state, happened.type, Object.keys(rules).sort());
  return decide(session, happened as never, spread);
}

export type Rules = Record<State, Partial<Record<Input["type"], Decide>>>;
export type Decide<T = never> = (session: Session, happened: T, spread: number) => Step;
export type Of<T extends Input["type"]> = Extract<Input, { type: T }>;

export function to(session: Session, changes: Partial<Session>, ...actions: Action[]): Step {
  return { session: { ...session, ...changes }, actions };
}

export const connect: Decide<unknown> = (session) => to(session, { state: "connecting", renew_first: false, told: null }, { type: "Connect" });

const begin: Decide<Of<"Connected">> = (session, { ticket }) =>
  ticket && !session.token_first
    ? to(session, { state: "resuming", by_ticket: true }, { type: "ShowTicket" })
    : to(session, { state: "greeting" }, { type: "Greet" });

const open: Decide<Of<"Welcome">> = (session, { epoch, last_number }) =>
  to(session, { state: "online", epoch, renewals: 0, token_first: false }, { type: "Resume", last_number, reset: ![0, epoch].includes(session.epoch) });

export const stay: Decide<unknown> = (session) => to(session, {});

const stop: Decide<unknown> = (session) =>
  to(session, { state: "ended", end: { code: 0, detail: "" } }, { type: session.state === "online" || session.state === "draining" ? "Leave" : "Close" });

/** What every session does; `learnRules` adds the rest. */
const RULES: Rules = {
  idle: { Began: connect, Stopped: stop },
  connecting: { Connected: begin, Stopped: stop },
  greeting: { Welcome: open, Stopped: stop },
  resuming: { Stopped: stop },
  online: { Traffic: stay, Stopped: stop },
  draining: { Stopped: stop },
  leaving: { Stopped: stop },
  waiting: { Stopped: stop },
  renewing: { Stopped: stop },
  // What was still on its way when the end was decided changes nothing.
  ended: { Traffic: stay, Draining: stay, Goodbye: stay, Waited: stay, Cut: stay, Stopped: stay },
};

export function learnRules(more: Partial<Rules>): void {
  for (const [state, rules] of Object.entries(more)) Object.assign(RULES[state as State], rules);
}

/** Whether there is a rule for it, as far as they have come. */
export function isLegal({ state }: Session, { type }: Input): boolean {
  return type in RULES[state];
}
