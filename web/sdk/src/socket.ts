/**
 * Runs a session: carries out what the session machine says, one socket after the other, until it is over.
 *
 *     machine ─Connect─▶ open, Hello or Resume ─▶ read, write, heartbeat, renew the token ─▶ cut ─▶ machine
 *             ─Wait────▶ a timer                  the first of them that ends ends the socket
 *             ─Renew───▶ HTTP
 *
 * A page hears nothing of WebSocket pings, and a browser that lost its network keeps its socket open without a word: only an answer to a
 * `Ping` of our own shows life. As client/runner.py, which gives the reasons for its figures.
 *
 * Invariant: every socket that was opened is reported to the machine as `Cut` once, after the exchange has put back what was open on it.
 */
import { decodeFrame, encode, join, packCursors, split } from "./codec";
import { AccountError, BadFrame, DeviceCopied, NotYet, ServerFault } from "./errors";
import type { Exchange, World } from "./exchange";
import type { Credentials } from "./http_door";
import { Code, LinkQuality, SCHEMA, VERSION, type Cursor, type Raw, type Resumed, type Welcome } from "./protocol";
import { backoffMs, IllegalInput, NEW, step, type Action, type Cut, type Input, type Session } from "./session_machine";

const OPEN_MS = 20_000;
const GREETING_MS = 20_000;
const HEARTBEAT_DEFAULT_S = 60;
const PATIENCE = 1.25;
const PONG_MS = 10_000;
const NUDGE_MS = 1_500;
const ANSWER_MS = 60_000;
const RENEW_AHEAD_MS = 120_000;
const CLOCK_SLACK_MS = 5_000;
const SLOW_GREETING_MS = 600;
const LEAVE_MS = 3_000;
const BUFFERED_MAX = 64 * 1024;
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

/** The part of a WebSocket that is used; browsers, React Native and node have one. */
export interface Link {
  binaryType: string;
  readonly bufferedAmount: number;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(data: Uint8Array): void;
  close(): void;
}

/** How the session stands. */
export interface RunnerStatus {
  readonly state: "connecting" | "online" | "waiting" | "ended";
  readonly waitMs: number;
  readonly code: number;
  readonly detail: string;
}

/** A ticket, and what holds on when it is taken. `expires` is Unix time in seconds, by the server's clock. */
interface Ticket {
  readonly ticket: Raw;
  readonly expires: number;
  readonly device: number;
  readonly welcome: Welcome;
}

export interface Options {
  readonly open: () => Link;
  readonly link: () => LinkQuality;
  readonly heartbeatS: number;
  readonly software: string;
  /** Asks what became of what was sent as the device before. */
  readonly inherit: () => Promise<void>;
}

export class Runner {
  private machine: Session;
  private socket: Socket | undefined;
  private off: () => void = () => undefined;
  private hurried: () => void = () => undefined;
  private forks = 0;
  private cause: Cut = cutOf();
  status: RunnerStatus = { state: "connecting", waitMs: 0, code: 0, detail: "" };
  /** The last round trip, and how far the server's clock is ahead, in milliseconds. */
  roundTripMs = 0;
  aheadMs = 0;
  private shortestMs = Infinity;
  onStatus: () => void = () => undefined;
  /** The session is over for good. */
  onEnd: (code: number, detail: string) => void = () => undefined;
  onWelcome: (welcome: Welcome) => void = () => undefined;

  constructor(
    readonly exchange: Exchange,
    readonly grant: Credentials,
    readonly options: Options,
    readonly world: World,
  ) {
    this.machine = { ...NEW, epoch: exchange.epoch };
  }

  start(): void {
    this.exchange.onWake = () => this.socket?.pump();
    this.feed({ type: "Began" });
  }

  /** The owner is done: says `Bye` if a socket is open. */
  stop(): void {
    if (this.machine.state === "ended") return;
    this.feed({ type: "Stopped" });
  }

  /** There is reason to try now: ends a wait as soon as it may be ended; an open socket is asked whether it lives. */
  hurry(): void {
    this.hurried();
    this.socket?.probe();
  }

  /** Feeds the machine, and does what it says. */
  feed(happened: Input): void {
    const made = step(this.machine, happened, this.world.spread());
    this.machine = made.session;
    if (made.session.state === "ended" && this.status.state !== "ended") {
      const { code, detail } = made.session.end!;
      this.off();
      this.tell("ended", 0, code, detail);
      this.exchange.questions.finish(code, detail || "the session is over");
      this.onEnd(code, detail);
    }
    for (const action of made.actions) this.perform(action);
  }

  private perform(action: Action): void {
    if (action.type === "Connect") void this.connect();
    else if (action.type === "Renew") {
      void this.renew().then((renewed) => {
        if (renewed && this.machine.state === "renewing") this.feed({ type: "Renewed" });
      });
    } else if (action.type === "Wait") this.wait(action.ms, action.least_ms);
    else this.socket?.perform(action);
  }

  private tell(state: RunnerStatus["state"], waitMs: number, code: number, detail: string): void {
    this.status = { state, waitMs, code, detail };
    this.onStatus();
  }

  private wait(ms: number, leastMs: number): void {
    this.tell("waiting", ms, this.cause.code, this.cause.detail);
    let over = false;
    const end = () => {
      if (over) return;
      over = true;
      this.off();
      this.hurried = () => undefined;
      this.feed({ type: "Waited" });
    };
    const began = this.world.wall();
    this.off = this.world.later(ms, end);
    this.hurried = () => {
      const leftMs = leastMs - (this.world.wall() - began);
      if (leftMs <= 0) return end();
      this.off();
      this.off = this.world.later(leftMs, end);
    };
  }

  /** True if there are new tokens; otherwise the machine has been told. */
  private renew(): Promise<boolean> {
    return this.done(this.grant.renew(), "RenewFailed");
  }

  /** True once it is done; otherwise the machine has been told. */
  private done(what: Promise<void>, weather: "RenewFailed" | "ConnectFailed"): Promise<boolean> {
    return what.then(
      () => true,
      (error: unknown) => this.missed(error, weather),
    );
  }

  private missed(error: unknown, weather: "RenewFailed" | "ConnectFailed"): false {
    const detail = (error as Error).message;
    this.cause = cutOf(0, detail);
    const { state } = this.machine;
    if (state === "connecting" || state === "renewing") {
      this.feed({ type: error instanceof AccountError && error.final ? "TokenRefused" : weather, detail });
    }
    return false;
  }

  private async connect(): Promise<void> {
    this.tell("connecting", 0, this.cause.code, this.cause.detail);
    const leftMs = this.grant.login.expires_at * 1000 - this.world.wall() - this.aheadMs;
    if (leftMs < CLOCK_SLACK_MS && !(await this.renew())) return;
    if (this.exchange.store.noted("heir") && !(await this.done(this.options.inherit(), "ConnectFailed"))) return;
    if (this.machine.state !== "connecting") return;
    const socket = new Socket(this);
    socket.over = (cut) => {
      this.socket = undefined;
      this.exchange.cut();
      this.cause = cut;
      if (VOID.includes(this.machine.told?.code ?? cut.code)) this.dropTicket();
      if (socket.copied !== undefined && this.forks++ < FORKS_MAX) void this.fork(socket.copied);
      else this.feed(cut);
    };
    socket.failed = (detail) => {
      this.socket = undefined;
      this.missed(new Error(detail), "ConnectFailed");
    };
    this.socket = socket;
    socket.begin();
  }

  /** The store was copied: goes on as another device, then as after any cut. */
  private async fork(detail: string): Promise<void> {
    try {
      await this.grant.forkDevice(this.options.software);
      this.exchange.store.bind(this.grant.login.device);
      this.exchange.mutations.becameAnother();
      this.feed(cutOf(0, `this store was copied and goes on as device ${this.grant.login.device}`));
    } catch (error) {
      this.feed(cutOf(0, `${detail}; ${(error as Error).message}`));
    }
  }

  // What the socket asks

  get told(): number {
    return this.machine.told?.code ?? 0;
  }

  get ended(): boolean {
    return this.machine.state === "ended";
  }

  /** Takes a sample of the link: the server's clock was read half a round trip ago. The shortest one is the most exact. */
  measured(roundTripMs: number, serverMs: number): void {
    this.roundTripMs = roundTripMs;
    if (roundTripMs <= this.shortestMs) {
      this.shortestMs = roundTripMs;
      this.aheadMs = serverMs + roundTripMs / 2 - this.world.wall();
    }
    this.onStatus();
  }

  online(welcome: Welcome): void {
    this.onWelcome(welcome);
    this.tell("online", 0, 0, "");
  }

  /** The ticket to show, if there is one of this device and epoch, with some seconds left. */
  ticket(): Ticket | undefined {
    const kept = this.exchange.store.noted("ticket") as readonly [Raw, number, number, Raw] | undefined;
    if (!kept) return undefined;
    const [ticket, expires, device, welcome] = kept;
    const found = { ticket, expires, device, welcome: decodeFrame(welcome) as Welcome };
    const leftMs = expires * 1000 - this.world.wall() - this.aheadMs;
    const fits = device === this.grant.login.device && found.welcome.epoch === this.exchange.epoch && leftMs >= CLOCK_SLACK_MS;
    return fits ? found : undefined;
  }

  /** Asks for a ticket to come back with. */
  takeTicket(welcome: Welcome): void {
    this.exchange.questions.wonder(
      (id) => ({ type: "TakeTicket", id }),
      (answer) => {
        if (answer.type !== "Ticket") return;
        const { ticket, expires } = answer;
        this.exchange.store.note("ticket", [ticket, expires, this.grant.login.device, encode({ ...welcome, expires })]);
      },
    );
  }

  dropTicket(): void {
    if (this.exchange.store.noted("ticket")) this.exchange.store.note("ticket", undefined);
  }
}

/** One socket, and why it ended. */
class Socket {
  private link!: Link;
  private isOpen = false;
  private isOver = false;
  private leaving = false;
  private pumping = false;
  private again = false;
  private probing = false;
  private readonly timers = new Set<() => void>();
  private welcome: Welcome | undefined;
  /** What was shown, if it was taken or may yet be. */
  private ticket: Ticket | undefined;
  private cursors: readonly Cursor[] = [];
  private clockMs = 0;
  private greetedAt = 0;
  private openedAt = 0;
  private drainAt = 0;
  private heardAt = 0;
  private spokeAt = 0;
  private nudge: (() => void) | undefined;
  /** Why this store must go on as another device. */
  copied: string | undefined;
  over: (cut: Cut) => void = () => undefined;
  failed: (detail: string) => void = () => undefined;

  constructor(private readonly runner: Runner) {}

  private get exchange(): Exchange {
    return this.runner.exchange;
  }

  private get now(): number {
    return this.runner.world.wall();
  }

  private later(ms: number, act: () => void): () => void {
    const off = this.runner.world.later(ms, () => {
      this.timers.delete(off);
      act();
    });
    this.timers.add(off);
    return off;
  }

  begin(): void {
    const link = (this.link = this.runner.options.open());
    link.binaryType = "arraybuffer";
    const late = this.later(OPEN_MS, () => this.end(0, "no answer"));
    link.onopen = () => {
      late();
      this.isOpen = true;
      this.heardAt = this.now;
      this.ticket = this.runner.ticket();
      this.later(GREETING_MS, () => this.welcome ?? this.end(Code.DEAD, "no welcome from the server"));
      this.guard(() => this.runner.feed({ type: "Connected", ticket: this.ticket !== undefined }));
    };
    link.onmessage = (event) => {
      this.heardAt = this.now;
      this.guard(() => this.hear(new Uint8Array(event.data)));
    };
    link.onclose = (event) => this.end(event.code === 1005 ? 0 : event.code, event.reason ?? "");
    // Some platforms tell of what never opened by this alone.
    link.onerror = () => this.isOpen || this.end();
  }

  /** What the server said wrongly ends the socket. */
  private guard(act: () => void): void {
    if (this.isOver) return;
    try {
      act();
    } catch (error) {
      if (error instanceof NotYet) return this.end(0, error.message);
      if (error instanceof DeviceCopied) this.copied = error.message;
      else if (!(error instanceof BadFrame || error instanceof ServerFault || error instanceof IllegalInput)) throw error;
      this.end(0, this.copied ?? `the server does not keep to the protocol: ${(error as Error).message}`);
    }
  }

  /** Does at once what the machine wants of the open socket. */
  perform(action: Action): void {
    if (action.type === "Greet") this.send([this.hello()]);
    else if (action.type === "ShowTicket") this.send([this.resume()]);
    else if (action.type === "Resume") this.exchange.welcome(this.welcome!, action.reset, this.quality());
    else if (action.type === "LeaveAfter") {
      this.drainAt = this.now;
      this.later(action.ms, () => this.runner.feed({ type: "Waited" }));
    } else if (action.type === "Leave") {
      this.leaving = true;
      this.later(LEAVE_MS, () => this.end(Code.BYE));
      this.pump();
    } else if (action.type === "Close") this.end();
  }

  /** The first reason counts. */
  private end(code = 0, detail = ""): void {
    if (this.isOver) return;
    this.isOver = true;
    for (const off of this.timers) off();
    this.link.onopen = this.link.onmessage = this.link.onclose = this.link.onerror = null;
    try {
      this.link.close();
    } catch {
      // It never opened.
    }
    const { now } = this;
    const cut = cutOf(code, detail, this.welcome ? now - this.openedAt : 0, this.drainAt ? now - this.drainAt : 0);
    if (this.isOpen) this.over(cut);
    else this.failed(detail || "no connection");
  }

  private send(frames: readonly Uint8Array[]): void {
    this.link.send(join(frames));
    this.spokeAt = this.now;
  }

  private hello(): Uint8Array {
    const { login } = this.runner.grant;
    const { heartbeatS, software } = this.runner.options;
    this.greetedAt = this.now;
    return encode({
      type: "Hello",
      version: VERSION,
      token: login.access_token,
      device: login.device,
      cursors: this.exchange.helloCursors(),
      epoch: this.exchange.epoch,
      clock_ms: Math.max(0, Math.floor(this.now)),
      heartbeat_s: heartbeatS,
      link: this.runner.options.link(),
      software,
      schema: SCHEMA,
    });
  }

  private resume(): Uint8Array {
    const { ticket, expires } = this.ticket!;
    this.cursors = this.exchange.helloCursors();
    this.clockMs = Math.floor(this.now);
    this.greetedAt = this.now;
    const { heartbeatS } = this.runner.options;
    const left_ms = expires * 1000 - this.clockMs;
    const cursors = packCursors(this.cursors);
    return encode({ type: "Resume", ticket, left_ms, cursors, link: this.runner.options.link(), heartbeat_s: heartbeatS, schema: SCHEMA });
  }

  /** As the application says, else as it was just measured. */
  private quality(): LinkQuality {
    return this.runner.options.link() || (this.now - this.greetedAt >= SLOW_GREETING_MS ? LinkQuality.POOR : LinkQuality.UNKNOWN);
  }

  private hear(message: Uint8Array): void {
    for (const raw of split(message)) {
      if (this.isOver) return;
      const frame = decodeFrame(raw);
      if (frame.type === "Welcome") {
        this.ticket = undefined;
        this.open(frame, frame);
        this.runner.takeTicket(frame);
      } else if (frame.type === "Resumed") this.goOn(frame);
      else if (frame.type === "Failed" && frame.code === Code.TICKET && !this.welcome) {
        this.runner.dropTicket();
        this.ticket = undefined;
        this.runner.feed({ type: "TicketRefused" });
      } else if (frame.type === "Draining" || frame.type === "Goodbye") this.runner.feed(frame);
      else {
        this.runner.feed({ type: "Traffic" });
        this.exchange.hear(frame);
      }
    }
  }

  /** As if `Welcome` had come, and for each cursor that missed nothing its `Followed`. */
  private goOn(resumed: Resumed): void {
    if (!this.ticket) throw new ServerFault("a session was resumed without a ticket");
    const { last_number, heartbeat_s, rest } = resumed;
    this.open({ ...this.ticket.welcome, last_number, server_ms: Math.max(0, this.clockMs + resumed.ahead_ms), heartbeat_s }, resumed);
    this.cursors.forEach(({ stream, seq }, place) => {
      if (!rest.includes(place)) this.exchange.hear({ type: "Followed", id: 0, stream, upto: seq, live: true });
    });
  }

  private open(welcome: Welcome, heard: Welcome | Resumed): void {
    this.welcome = welcome;
    this.openedAt = this.now;
    this.runner.feed(heard);
    this.runner.measured(this.openedAt - this.greetedAt, welcome.server_ms);
    this.runner.online(welcome);
    this.keepHeart((welcome.heartbeat_s || HEARTBEAT_DEFAULT_S) * 1000 * PATIENCE, this.exchange.mutations.answers, this.now);
    void this.keepToken(welcome);
    this.pump();
  }

  /** Sends all that there is to say, a message after the other, each when what it numbers is on the disk. */
  pump(): void {
    this.again = true;
    if (this.pumping || !this.welcome || this.isOver) return;
    this.pumping = true;
    void this.write()
      .catch((error: unknown) => this.end(0, `this device cannot keep what is to be sent: ${(error as Error).message}`))
      .finally(() => {
        this.pumping = false;
        // Who asked between the last look and now was told that somebody is at it.
        if (this.again) this.pump();
      });
  }

  private async write(): Promise<void> {
    while (this.again && !this.isOver) {
      this.again = false;
      // What is asked for in the same step of the program goes out together.
      await Promise.resolve();
      for (let frames = this.exchange.collect(); frames.length && !this.isOver; frames = this.exchange.collect()) {
        await this.exchange.store.durable();
        if (this.isOver) return;
        this.send(frames);
        this.nudge ??= this.later(NUDGE_MS, () => this.nudgeNow());
        while (this.link.bufferedAmount > BUFFERED_MAX && !this.isOver) await new Promise<void>((go) => void this.later(50, go));
      }
    }
    if (this.leaving && !this.isOver) {
      this.send([encode({ type: "Bye" })]);
      this.end(Code.BYE);
    }
  }

  /** Sends something behind what may have been lost, once each time that something was said: the last packet's loss shows by it. */
  private nudgeNow(): void {
    this.nudge = undefined;
    if (!this.exchange.isWaiting) return;
    const leftMs = NUDGE_MS - (this.now - Math.max(this.spokeAt, this.heardAt));
    if (leftMs > 0) this.nudge = this.later(leftMs, () => this.nudgeNow());
    else this.ping();
  }

  private ping(): void {
    const sentAt = this.now;
    this.exchange.questions.wonder(
      (id) => ({ type: "Ping", id, clock_ms: Math.max(0, Math.floor(sentAt)) }),
      (answer) => {
        if (answer.type === "Pong") this.runner.measured(this.now - sentAt, answer.server_ms);
      },
    );
  }

  /** Asks for a sign of life; without one the socket is given up. */
  probe(): void {
    if (this.probing || !this.welcome) return;
    this.probing = true;
    const askedAt = this.now;
    this.ping();
    this.later(PONG_MS, () => {
      this.probing = false;
      if (this.heardAt <= askedAt) this.end(Code.DEAD, `nothing heard for ${Math.round((this.now - this.heardAt) / 1000)} s`);
    });
  }

  private keepHeart(silenceMs: number, answers: number, answersAt: number): void {
    const { mutations } = this.exchange;
    const { now } = this;
    if (mutations.answers !== answers || !mutations.inFlight) {
      answers = mutations.answers;
      answersAt = now;
    } else if (now - answersAt >= ANSWER_MS) return this.end(Code.DEAD, `mutations unanswered for ${ANSWER_MS / 1000} s`);
    const silentMs = now - this.heardAt;
    if (silentMs >= silenceMs) this.probe();
    this.later(Math.max(1000, Math.min(silenceMs - silentMs, ANSWER_MS / 4)), () => this.keepHeart(silenceMs, answers, answersAt));
  }

  /** Renews the access token ahead of its expiry and puts the new one on the live socket. */
  private async keepToken(welcome: Welcome): Promise<void> {
    const { grant, world } = this.runner;
    // A ticket of the token before this one: the socket would end with that one.
    if (this.ticket && welcome.expires < Math.floor(grant.login.expires_at)) this.putToken(welcome);
    for (let failures = 0; !this.isOver; ) {
      const leftMs = grant.login.expires_at * 1000 - world.wall() - this.runner.aheadMs;
      const earlyMs = RENEW_AHEAD_MS + 60_000 * world.spread();
      await new Promise<void>((go) => void this.later(Math.max(leftMs - earlyMs, failures ? backoffMs(failures, 1) : 0), go));
      try {
        await grant.renew();
        this.putToken(welcome);
        failures = 0;
      } catch (error) {
        if (error instanceof AccountError && error.final) return;
        failures++;
      }
    }
  }

  private putToken(welcome: Welcome): void {
    if (this.isOver) return;
    this.exchange.questions.wonder(
      (id) => ({ type: "Refresh", id, token: this.runner.grant.login.access_token }),
      (answer) => {
        if (answer.type === "Granted") this.runner.takeTicket(welcome);
      },
    );
  }
}

function cutOf(code = 0, detail = "", onlineMs = 0, waitedMs = 0): Cut {
  return { type: "Cut", code, detail, online_ms: Math.floor(onlineMs), waited_ms: Math.floor(waitedMs) };
}
