/**
 * Runs a session: carries out what the session machine says, one socket after the other, until it is over.
 *
 *     machine ─Connect─▶ open, Hello ─▶ read, write ─▶ cut ─▶ machine
 *             ─Wait────▶ a timer        the first of them that ends ends the socket
 *             ─Renew───▶ HTTP
 *
 * Here is the way in and what goes to and fro; waits, renewals and tickets are in recovery.ts, the heartbeat in heart.ts, and come behind the
 * first `Welcome`. What needs them before waits until they are here, and a frame that only they know waits with all behind it. As
 * client/runner.py, which gives the reasons for its figures.
 *
 * Invariant: every socket that was opened is reported to the machine as `Cut` once, after the exchange has put back what was open on it.
 */
import { decodeFrame, encode, join, split, type Heard } from "./codec";
import { BadFrame, DeviceCopied, NotYet, ServerFault } from "./errors";
import type { Exchange, World } from "./exchange";
import type { Heart } from "./heart";
import type { Credentials, Login } from "./http_door";
import { Code, LinkQuality, SCHEMA, VERSION, type Raw, type Resumed, type Welcome } from "./protocol";
import { rarely, rest } from "./rarely";
import type { Shown } from "./recovery";
import { IllegalInput, isLegal, NEW, step, type Action, type Cut, type Input, type Session } from "./session_machine";

const OPEN_MS = 20_000;
const GREETING_MS = 20_000;
export const CLOCK_SLACK_MS = 5_000;
const SLOW_GREETING_MS = 600;
const LEAVE_MS = 3_000;
const BUFFERED_MAX = 64 * 1024;
/** What is taken here and by the exchange without the rest of a session. */
export const OWN_FRAMES: readonly string[] = ["Welcome", "Event", "Followed", "Spaces", "Done", "DoneRun"];
/** Frames that wait for what takes them: some seconds of a session that has just begun. */
const HELD_MAX = 4_096;

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

/** Who is logged in. */
export interface Grant {
  login: Login;
  /** What renews it, once that has come. */
  credentials?: Credentials;
}

export interface Options {
  readonly open: () => Link;
  readonly link: () => LinkQuality;
  readonly heartbeatS: number;
  readonly software: string;
  /** Once the rest of the session is here. */
  readonly credentials: () => Credentials;
  /** Asks what became of what was sent as the device before. */
  readonly inherit: () => Promise<void>;
}

export class Runner {
  machine: Session;
  socket: Socket | undefined;
  /** Why the last socket ended. */
  cause: Cut = cutOf();
  /** How often this store went on as another device. */
  forks = 0;
  /** Ends a wait as soon as it may be ended, and calls it off. */
  hurried: () => void = () => undefined;
  off: () => void = () => undefined;
  status: RunnerStatus = { state: "connecting", waitMs: 0, code: 0, detail: "" };
  /** The last round trip, and how far the server's clock is ahead, in milliseconds. */
  roundTripMs = 0;
  aheadMs = 0;
  private shortestMs = Infinity;
  onStatus: () => void = () => undefined;

  constructor(
    readonly exchange: Exchange,
    readonly grant: Grant,
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
    if (this.machine.state !== "ended") this.feed({ type: "Stopped" });
  }

  /** There is reason to try now: ends a wait as soon as it may be ended; an open socket is asked whether it lives. */
  hurry(): void {
    this.hurried();
    this.socket?.heart?.probe();
  }

  /** Feeds the machine, and does what it says. */
  feed(happened: Input): void {
    if (!rest() && !isLegal(this.machine, happened)) return rarely(this.world, () => isLegal(this.machine, happened) && this.feed(happened));
    const made = step(this.machine, happened, this.world.spread());
    this.machine = made.session;
    if (made.session.state === "ended" && this.status.state !== "ended") {
      const { code, detail } = made.session.end!;
      this.off();
      this.tell("ended", 0, code, detail);
      this.exchange.questions.finish(code, detail || "the session is over");
    }
    for (const action of made.actions) this.perform(action);
  }

  private perform(action: Action): void {
    if (action.type === "Connect") this.connect();
    else if (action.type === "Wait" || action.type === "Renew") rest()!.recover(this, action);
    else this.socket?.perform(action);
  }

  tell(state: RunnerStatus["state"], waitMs: number, code: number, detail: string): void {
    this.status = { state, waitMs, code, detail };
    this.onStatus();
  }

  /** How long the access token is good. */
  get leftMs(): number {
    return this.grant.login.expires_at * 1000 - this.world.wall() - this.aheadMs;
  }

  private connect(): void {
    this.tell("connecting", 0, this.cause.code, this.cause.detail);
    const { store } = this.exchange;
    if (this.leftMs >= CLOCK_SLACK_MS && !store.noted("ticket") && !store.noted("heir")) this.dial();
    else rarely(this.world, (rest) => rest.prepare(this));
  }

  /** Opens a socket, if that is still wanted. */
  dial(): void {
    if (this.machine.state !== "connecting") return;
    const socket = (this.socket = new Socket(this));
    const ended = (lost: Lost) => {
      this.socket = undefined;
      if (!lost.failed) this.exchange.cut();
      this.cause = lost.cut;
      // Nothing waits yet, but what says how long has to be fetched.
      if (!rest() && this.status.state !== "ended") this.tell("waiting", 0, lost.cut.code, lost.cut.detail);
      rarely(this.world, (rest) => rest.lost(this, lost));
    };
    socket.begin(ended);
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
}

/** How a socket ended. */
export interface Lost {
  readonly cut: Cut;
  /** It never opened. */
  readonly failed: boolean;
  /** Why this store must go on as another device. */
  readonly copied: string | undefined;
}

/** One socket, and why it ended. */
export class Socket {
  private link!: Link;
  private isOpen = false;
  isOver = false;
  private leaving = false;
  private pumping = false;
  private again = false;
  private readonly timers = new Set<() => void>();
  /** What came and waits for the rest of the session. */
  private held: Raw[] = [];
  welcome: Welcome | undefined;
  heart: Heart | undefined;
  /** What it was begun with, if that was taken or may yet be. */
  shown: Shown | undefined;
  greetedAt = 0;
  private openedAt = 0;
  drainAt = 0;
  heardAt = 0;
  spokeAt = 0;
  private copied: string | undefined;
  private over: (lost: Lost) => void = () => undefined;

  constructor(readonly runner: Runner) {}

  private get exchange(): Exchange {
    return this.runner.exchange;
  }

  get now(): number {
    return this.runner.world.wall();
  }

  /** Unless it is over by then. */
  later(ms: number, act: () => void): () => void {
    const off = this.runner.world.later(ms, () => {
      this.timers.delete(off);
      act();
    });
    this.timers.add(off);
    return off;
  }

  begin(over: (lost: Lost) => void): void {
    this.over = over;
    const link = (this.link = this.runner.options.open());
    link.binaryType = "arraybuffer";
    const late = this.later(OPEN_MS, () => this.end(0, "no answer"));
    link.onopen = () => {
      late();
      this.isOpen = true;
      this.heardAt = this.now;
      this.later(GREETING_MS, () => this.welcome ?? this.end(Code.DEAD, "no welcome from the server"));
      const ticket = rest()?.hasTicket(this) ?? false;
      this.guard(() => this.runner.feed({ type: "Connected", ticket }));
    };
    link.onmessage = (event) => {
      this.heardAt = this.now;
      this.guard(() => this.hear(split(new Uint8Array(event.data))));
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
    else if (action.type === "Resume") this.exchange.welcome(this.welcome!, action.reset, this.quality());
    else if (action.type === "Leave") {
      this.leaving = true;
      this.later(LEAVE_MS, () => this.end(Code.BYE));
      this.pump();
    } else if (action.type === "Close") this.end();
    else rest()!.perform(this, action);
  }

  /** The first reason counts. */
  end(code = 0, detail = ""): void {
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
    this.over({ cut, failed: !this.isOpen, copied: this.copied });
  }

  send(frames: readonly Uint8Array[]): void {
    this.link.send(join(frames));
    this.spokeAt = this.now;
  }

  private hello(): Uint8Array {
    const { grant, options } = this.runner;
    this.greetedAt = this.now;
    return encode({
      type: "Hello",
      version: VERSION,
      token: grant.login.access_token,
      device: grant.login.device,
      cursors: this.exchange.helloCursors(),
      epoch: this.exchange.epoch,
      clock_ms: Math.max(0, Math.floor(this.now)),
      heartbeat_s: options.heartbeatS,
      link: options.link(),
      software: options.software,
      schema: SCHEMA,
    });
  }

  /** As the application says, else as it was just measured. */
  private quality(): LinkQuality {
    return this.runner.options.link() || (this.now - this.greetedAt >= SLOW_GREETING_MS ? LinkQuality.POOR : LinkQuality.UNKNOWN);
  }

  private hear(frames: readonly Raw[]): void {
    const waiting = this.held.length > 0;
    this.held.push(...frames);
    if (!waiting || rest()) this.hearHeld();
    else if (this.held.length > HELD_MAX) this.end(0, "more came than can wait");
  }

  private hearHeld(): void {
    while (this.held.length && !this.isOver) {
      const frame = decodeFrame(this.held[0]!);
      if (!rest() && !OWN_FRAMES.includes(frame.type)) return rarely(this.runner.world, () => this.guard(() => this.hearHeld()));
      this.held.shift();
      this.take(frame);
    }
  }

  private take(frame: Heard): void {
    if (frame.type === "Welcome") this.open(frame, frame);
    else if (!rest()?.hear(this, frame)) {
      this.runner.feed({ type: "Traffic" });
      this.exchange.hear(frame);
    }
  }

  /** The session is open, as one of these says. */
  open(welcome: Welcome, heard: Welcome | Resumed): void {
    const { runner } = this;
    this.welcome = welcome;
    this.openedAt = this.now;
    runner.feed(heard);
    runner.measured(this.openedAt - this.greetedAt, welcome.server_ms);
    runner.tell("online", 0, 0, "");
    rarely(runner.world, (rest) => this.isOver || rest.keepAlive(this, welcome, heard));
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
        this.heart?.spoke();
        while (this.link.bufferedAmount > BUFFERED_MAX && !this.isOver) await new Promise<void>((go) => void this.later(50, go));
      }
    }
    if (this.leaving && !this.isOver) {
      this.send([encode({ type: "Bye" })]);
      this.end(Code.BYE);
    }
  }
}

export function cutOf(code = 0, detail = "", onlineMs = 0, waitedMs = 0): Cut {
  return { type: "Cut", code, detail, online_ms: Math.floor(onlineMs), waited_ms: Math.floor(waitedMs) };
}
