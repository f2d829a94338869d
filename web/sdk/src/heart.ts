/**
 * Keeps an open socket alive, and knows when it is not.
 *
 *     silence, or somebody doubts ─▶ Ping ·· anything heard │ nothing ─▶ the socket is given up
 *     the token's end comes near ──▶ renewed over HTTP ─▶ Refresh, and a new ticket
 *
 * A page hears nothing of WebSocket pings, and a browser that lost its network keeps its socket open without a word: only an answer to a
 * `Ping` of our own shows life.
 *
 * Invariant: nothing of it outlives its socket.
 */
import { AccountError } from "./errors";
import { Code, type Resumed, type Welcome } from "./protocol";
import { takeTicket } from "./recovery";
import { backoffMs } from "./session_machine";
import type { Socket } from "./socket";

const HEARTBEAT_DEFAULT_S = 60;
const PATIENCE = 1.25;
const PONG_MS = 10_000;
const NUDGE_MS = 1_500;
const ANSWER_MS = 60_000;
const RENEW_AHEAD_MS = 120_000;

export class Heart {
  private probing = false;
  private nudge: (() => void) | undefined;
  private answers: number;
  private answersAt: number;
  private readonly silenceMs: number;

  constructor(
    private readonly socket: Socket,
    private readonly welcome: Welcome,
  ) {
    this.silenceMs = (welcome.heartbeat_s || HEARTBEAT_DEFAULT_S) * 1000 * PATIENCE;
    this.answers = socket.runner.exchange.mutations.answers;
    this.answersAt = socket.now;
    this.beat();
    void this.keepToken();
    // It may have come later than the first that was said.
    this.spoke();
  }

  private beat(): void {
    const { socket } = this;
    const { mutations } = socket.runner.exchange;
    const { now } = socket;
    if (mutations.answers !== this.answers || !mutations.inFlight) {
      this.answers = mutations.answers;
      this.answersAt = now;
    } else if (now - this.answersAt >= ANSWER_MS) return socket.end(Code.DEAD, `mutations unanswered for ${ANSWER_MS / 1000} s`);
    const silentMs = now - socket.heardAt;
    if (silentMs >= this.silenceMs) this.probe();
    socket.later(Math.max(1000, Math.min(this.silenceMs - silentMs, ANSWER_MS / 4)), () => this.beat());
  }

  /** Something was said: is there life? Once each time, something is sent behind what may have been lost; the last packet's loss shows by it. */
  spoke(): void {
    this.nudge ??= this.socket.later(NUDGE_MS, () => this.nudgeNow());
  }

  private nudgeNow(): void {
    const { heardAt, now, runner, spokeAt } = this.socket;
    this.nudge = undefined;
    if (!runner.exchange.isWaiting) return;
    const leftMs = NUDGE_MS - (now - Math.max(spokeAt, heardAt));
    if (leftMs > 0) this.nudge = this.socket.later(leftMs, () => this.nudgeNow());
    else this.ping();
  }

  private ping(): void {
    const { runner, now: sentAt } = this.socket;
    runner.exchange.questions.wonder(
      (id) => ({ type: "Ping", id, clock_ms: Math.max(0, Math.floor(sentAt)) }),
      (answer) => {
        if (answer.type === "Pong") runner.measured(this.socket.now - sentAt, answer.server_ms);
      },
    );
  }

  /** Asks for a sign of life; without one the socket is given up. */
  probe(): void {
    const { socket } = this;
    if (this.probing) return;
    this.probing = true;
    const askedAt = socket.now;
    this.ping();
    socket.later(PONG_MS, () => {
      this.probing = false;
      if (socket.heardAt <= askedAt) socket.end(Code.DEAD, `nothing heard for ${Math.round((socket.now - socket.heardAt) / 1000)} s`);
    });
  }

  /** Renews the access token ahead of its expiry and puts the new one on the live socket. */
  private async keepToken(): Promise<void> {
    const { socket } = this;
    const { grant, world } = socket.runner;
    // A ticket of the token before this one: the socket would end with that one.
    if (socket.shown && this.welcome.expires < Math.floor(grant.login.expires_at)) this.putToken();
    for (let failures = 0; !socket.isOver; ) {
      const earlyMs = RENEW_AHEAD_MS + 60_000 * world.spread();
      await new Promise<void>((go) => void socket.later(Math.max(socket.runner.leftMs - earlyMs, failures ? backoffMs(failures, 1) : 0), go));
      try {
        await socket.runner.options.credentials().renew();
        this.putToken();
        failures = 0;
      } catch (error) {
        if (error instanceof AccountError && error.final) return;
        failures++;
      }
    }
  }

  private putToken(): void {
    const { isOver, runner } = this.socket;
    if (isOver) return;
    runner.exchange.questions.wonder(
      (id) => ({ type: "Refresh", id, token: runner.grant.login.access_token }),
      (answer) => {
        if (answer.type === "Granted") takeTicket(runner, this.welcome);
      },
    );
  }
}

/** A session is open. */
export function keepAlive(socket: Socket, welcome: Welcome, heard: Welcome | Resumed): void {
  if (heard.type === "Welcome") socket.shown = undefined;
  socket.heart = new Heart(socket, welcome);
  if (heard.type === "Welcome") takeTicket(socket.runner, welcome);
}
