/**
 * How a session goes on: what is done before a socket, and after one has ended.
 *
 *     Connect ─▶ prepare: a token that is good ─▶ dial ─▶ a ticket, where one is kept ─▶ Resumed, or Hello after all
 *     lost ────▶ another device (a copied store) │ Cut ─▶ Wait, Renew
 *
 * Invariant: the machine is told of each socket's end once, and of each renewal's.
 */
import { decodeFrame, encode, type Heard } from "./codec";
import { packCursors } from "./cursors";
import { AccountError, ServerFault } from "./errors";
import { Code, SCHEMA, type Cursor, type Raw, type Resumed, type Welcome } from "./protocol";
import { becameAnother } from "./refusals";
import type { Action } from "./session_machine";
import { CLOCK_SLACK_MS, cutOf, type Lost, type Runner, type Socket } from "./socket";

const FORKS_MAX = 3;
/** Ends of a socket after which the next one begins with the token. */
const VOID: readonly number[] = [
  Code.BAD_FRAME,
  Code.ILLEGAL,
  Code.FLOOD,
  Code.VERSION,
  Code.UNAUTHENTICATED,
  Code.TOKEN_EXPIRED,
  Code.REVOKED,
  Code.HELLO_LATE,
];

/** A ticket, and what holds on when it is taken. `expires` is Unix time in seconds, by the server's clock. */
interface Ticket {
  readonly ticket: Raw;
  readonly expires: number;
  readonly device: number;
  readonly welcome: Welcome;
}

/** A ticket as it is shown, when, and with which cursors. */
export interface Shown extends Ticket {
  readonly cursors: readonly Cursor[];
  readonly clockMs: number;
}

// Before a socket

/** Opens a socket when there is a token to open it with, and nothing is to be asked first. */
export async function prepare(runner: Runner): Promise<void> {
  if (runner.leftMs < CLOCK_SLACK_MS && !(await renew(runner))) return;
  if (runner.exchange.store.noted("heir") && !(await done(runner, runner.options.inherit(), "ConnectFailed"))) return;
  runner.dial();
}

export function recover(runner: Runner, action: Action): void {
  if (action.type === "Wait") return wait(runner, action.ms, action.least_ms);
  void renew(runner).then((renewed) => {
    if (renewed && runner.machine.state === "renewing") runner.feed({ type: "Renewed" });
  });
}

function renew(runner: Runner): Promise<boolean> {
  return done(runner, runner.options.credentials().renew(), "RenewFailed");
}

/** True once it is done; otherwise the machine has been told. */
function done(runner: Runner, what: Promise<void>, weather: "RenewFailed" | "ConnectFailed"): Promise<boolean> {
  return what.then(
    () => true,
    (error: unknown) => missed(runner, error, weather),
  );
}

function missed(runner: Runner, error: unknown, weather: "RenewFailed" | "ConnectFailed"): false {
  const detail = (error as Error).message;
  runner.cause = cutOf(0, detail);
  const { state } = runner.machine;
  if (state === "connecting" || state === "renewing") {
    runner.feed({ type: error instanceof AccountError && error.final ? "TokenRefused" : weather, detail });
  }
  return false;
}

function wait(runner: Runner, ms: number, leastMs: number): void {
  const { cause, world } = runner;
  runner.tell("waiting", ms, cause.code, cause.detail);
  let over = false;
  const end = () => {
    if (over) return;
    over = true;
    runner.off();
    runner.hurried = () => undefined;
    runner.feed({ type: "Waited" });
  };
  const began = world.wall();
  runner.off = world.later(ms, end);
  runner.hurried = () => {
    const leftMs = leastMs - (world.wall() - began);
    if (leftMs <= 0) return end();
    runner.off();
    runner.off = world.later(leftMs, end);
  };
}

// After a socket

export function lost(runner: Runner, { cut, failed, copied }: Lost): void {
  if (failed) return void missed(runner, new Error(cut.detail || "no connection"), "ConnectFailed");
  if (VOID.includes(runner.machine.told?.code ?? cut.code)) dropTicket(runner);
  if (copied !== undefined && runner.forks++ < FORKS_MAX) void fork(runner, copied);
  else runner.feed(cut);
}

/** The store was copied: goes on as another device, then as after any cut. */
async function fork(runner: Runner, detail: string): Promise<void> {
  const { exchange, grant, options } = runner;
  try {
    await options.credentials().forkDevice(options.software);
    exchange.store.bind(grant.login.device);
    becameAnother(exchange.mutations);
    runner.feed(cutOf(0, `this store was copied and goes on as device ${grant.login.device}`));
  } catch (error) {
    runner.feed(cutOf(0, `${detail}; ${(error as Error).message}`));
  }
}

// Tickets

/** The ticket to show, if there is one of this device and epoch, with some seconds left. */
function ticketOf({ aheadMs, exchange, grant, world }: Runner): Ticket | undefined {
  const kept = exchange.store.noted("ticket") as readonly [Raw, number, number, Raw] | undefined;
  if (!kept) return undefined;
  const [ticket, expires, device, welcome] = kept;
  const found = { ticket, expires, device, welcome: decodeFrame(welcome) as Welcome };
  const leftMs = expires * 1000 - world.wall() - aheadMs;
  const fits = device === grant.login.device && found.welcome.epoch === exchange.epoch && leftMs >= CLOCK_SLACK_MS;
  return fits ? found : undefined;
}

/** Asks for a ticket to come back with. */
export function takeTicket({ exchange, grant }: Runner, welcome: Welcome): void {
  exchange.questions.wonder(
    (id) => ({ type: "TakeTicket", id }),
    (answer) => {
      if (answer.type !== "Ticket") return;
      const { ticket, expires } = answer;
      exchange.store.note("ticket", [ticket, expires, grant.login.device, encode({ ...welcome, expires })]);
    },
  );
}

export function dropTicket({ exchange: { store } }: Runner): void {
  if (store.noted("ticket")) store.note("ticket", undefined);
}

/** A socket is open: whether there is a ticket to begin with. */
export function hasTicket(socket: Socket): boolean {
  const ticket = ticketOf(socket.runner);
  socket.shown = ticket && { ...ticket, cursors: [], clockMs: 0 };
  return ticket !== undefined;
}

/** Does what the machine wants of an open socket besides the ways in and out. */
export function perform(socket: Socket, action: Action): void {
  const { exchange, options } = socket.runner;
  if (action.type === "LeaveAfter") {
    socket.drainAt = socket.now;
    socket.later(action.ms, () => socket.runner.feed({ type: "Waited" }));
  } else if (action.type === "ShowTicket") {
    const cursors = exchange.helloCursors();
    const clockMs = Math.floor(socket.now);
    const { ticket, expires } = (socket.shown = { ...socket.shown!, cursors, clockMs });
    socket.greetedAt = socket.now;
    const left_ms = expires * 1000 - clockMs;
    socket.send([encode({ type: "Resume", ticket, left_ms, cursors: packCursors(cursors), link: options.link(), heartbeat_s: options.heartbeatS, schema: SCHEMA })]);
  }
}

/** Takes what is about the session itself. False: it is something else. Throws `ServerFault`. */
export function hear(socket: Socket, frame: Heard): boolean {
  const { runner } = socket;
  if (frame.type === "Resumed") goOn(socket, frame);
  else if (frame.type === "Failed" && frame.code === Code.TICKET && !socket.welcome) {
    dropTicket(runner);
    socket.shown = undefined;
    runner.feed({ type: "TicketRefused" });
  } else if (frame.type === "Draining" || frame.type === "Goodbye") runner.feed(frame);
  else return false;
  return true;
}

/** As if `Welcome` had come, and for each cursor that missed nothing its `Followed`. */
function goOn(socket: Socket, resumed: Resumed): void {
  const { shown } = socket;
  if (!shown) throw new ServerFault("a session was resumed without a ticket");
  const { last_number, heartbeat_s, rest } = resumed;
  socket.open({ ...shown.welcome, last_number, server_ms: Math.max(0, shown.clockMs + resumed.ahead_ms), heartbeat_s }, resumed);
  shown.cursors.forEach(({ stream, seq }, place) => {
    if (!rest.includes(place)) socket.runner.exchange.hear({ type: "Followed", id: 0, stream, upto: seq, live: true });
  });
}
