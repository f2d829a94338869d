/**
 * What a device asks for, what it hears, and what is still open: everything of a session that is neither socket nor clock.
 *
 *     submit ─▶ mutations ─┐                            ┌─▶ mutations   (Done, Refused)
 *     ask ────▶ questions ─┼─collect─▶ bytes ·· frames ─hear─▶ questions (answers) ─▶ overview
 *     follow ─▶ streams ───┤                            └─▶ streams     (events) ─▶ readers
 *     records: upkeep ─────┘ once it has come (`keep`)
 *
 * Every change of state is synchronous, so a socket that is cut anywhere leaves streams, ledger and store agreeing with one another. As
 * client/exchange.py.
 *
 * Invariant: what is asked next is what is most urgent: mutations beside requests, then streams by their priorities, few at once where the
 * link is bad.
 */
import { encode, type Heard } from "./codec";
import { NotYet } from "./errors";
import { Mutations } from "./mutations";
import { Overview, type Concerned } from "./overview";
import { BATCH_FRAMES_MAX, LinkQuality, type Command, type Conflict, type Cursor, type Limits, type Welcome } from "./protocol";
import { Questions, type After } from "./questions";
import { rest } from "./rarely";
import type { Store } from "./store";
import { isFact, Streams, type Reader } from "./streams";

const MESSAGE_BYTES_GOAL = 8 * 1024;
const HINTS_MAX = 8;
const STREAMS_OPEN_MAX = 32;
const STREAMS_OPEN_POOR_MAX = 2;
const INBOX = 0;

/** Time and chance, as given. `wall` is Unix time in milliseconds, `spread` uniform in [0, 1); `later` answers how to call it off. */
export interface World {
  wall(): number;
  spread(): number;
  later(ms: number, act: () => void): () => void;
}

/** After a restore: nothing else is said and taken until what this device knows as decided is asked about. */
export interface Doubting {
  readonly welcome: Welcome;
  take(): Uint8Array[];
  hear(frame: Heard): boolean;
}

/** Who keeps records, and knows what to do when the database was restored (upkeep.ts). */
export interface Keeping extends Concerned {
  readonly conflicts: readonly Conflict[];
  readonly isComplete: boolean;
  /** How many streams are not up to date. */
  readonly behind: number;
  /** Something is to be asked. */
  readonly isDoubtful: boolean;
  readonly askedPages: number;
  carryOutPlan(): void;
  askWhatIsDue(): void;
  /** The streams to follow, or to fetch a page of, the most urgent first. */
  unasked(): number[];
  isFetching(stream: number): boolean;
  askPage(stream: number): void;
  welcome(): void;
  cut(): void;
  restore(lastNumber: number): void;
  doubtAll(welcome: Welcome, wake: () => void, after: After, spread: () => number): Doubting | undefined;
  makeRoom(): boolean;
}

export class Exchange {
  readonly questions: Questions;
  readonly mutations: Mutations;
  readonly streams: Streams;
  readonly overview: Overview;
  keeping: Keeping | undefined;
  /** When last everything was up and down, in Unix milliseconds. */
  succeededAt: number;
  /** Told whenever anything of the status may have changed. */
  changed: () => void = () => undefined;
  /** Told when there may be something to send. */
  onWake: () => void = () => undefined;
  /** Told what is shown while one looks, and kept nowhere. */
  onHint: (hint: Heard) => void = () => undefined;
  private timers = new Set<() => void>();
  private readonly remarks = new Map<string, Command>();
  private limits: Limits | undefined;
  private openMax = STREAMS_OPEN_MAX;
  private doubt: Doubting | undefined;
  private inStep = false;
  /** Undefined: whoever reads it has not come. */
  private inbox: { readonly reader: Reader | undefined } | undefined;
  /** As the last `Welcome` said. */
  inboxId = 0;

  constructor(
    readonly store: Store,
    readonly world: World,
  ) {
    const wake = () => this.onWake();
    const spread = () => world.spread();
    const after: After = (ms, act) => this.after(ms, act);
    this.questions = new Questions(wake, after, (ms, act) => void world.later(ms, act), spread);
    this.mutations = new Mutations(store, () => world.wall(), spread, wake, after);
    this.streams = new Streams(store, () => this.questions.newId(), wake, after, spread);
    this.overview = new Overview(store, this.questions, wake);
    this.succeededAt = Number(store.noted("succeeded") ?? 0);
    this.mutations.decided = (_, operation, code, value) => this.overview.decided(operation, code, value);
    this.streams.news = (fact, taken) => {
      if (this.streams.positions.priorities.get(fact.stream) === INBOX) this.overview.hear(fact, taken);
    };
  }

  /** What keeps records has come, perhaps in the middle of a session. */
  keep(keeping: Keeping): void {
    this.keeping = this.overview.concerned = keeping;
    if (this.limits) keeping.welcome();
    this.onWake();
    this.changed();
  }

  /** In which this device speaks: the store's, or, while it asks what a restored database knows, that one's. */
  get epoch(): number {
    return this.doubt?.welcome.epoch ?? this.store.epoch;
  }

  /** Everything is up and everything that is wanted is here, as far as this socket knows. */
  get isComplete(): boolean {
    const { keeping, limits, mutations, overview, streams } = this;
    return Boolean(limits && this.inbox && keeping?.isComplete) && !mutations.pending && overview.isComplete && !streams.positions.missing().length;
  }

  /** How many streams are not up to date. */
  get behind(): number {
    return this.keeping?.behind ?? this.streams.positions.missing().length;
  }

  /** Whether something that was sent has no answer yet. */
  get isWaiting(): boolean {
    return Boolean(this.mutations.inFlight || this.streams.asking || this.questions.asking);
  }

  /** Wants what concerns the account itself, before anything else, and whoever reads it is told. */
  readInbox(inbox: number, reader?: Reader): void {
    this.inbox = { reader };
    if (!inbox) return;
    this.streams.positions.priorities.set(inbox, INBOX);
    if (reader) this.streams.readers.set(inbox, reader);
    this.streams.follow(inbox);
  }

  /** Says something that is of use now or never, if a socket is open. Of what goes by the same name the last is said. */
  remark(name: string, command: Command): void {
    if (!this.limits || (!this.remarks.has(name) && this.remarks.size >= HINTS_MAX)) return;
    this.remarks.set(name, command);
    this.onWake();
  }

  private after(ms: number, act: () => void): void {
    const off = this.world.later(ms, () => {
      this.timers.delete(off);
      act();
    });
    this.timers.add(off);
  }

  // The socket's side

  /** The cursors for `Hello`; from now on what they bring is taken. */
  helloCursors(): Cursor[] {
    this.keeping?.carryOutPlan();
    return this.streams.hello();
  }

  /** The session is open: everything unanswered is asked for again. Throws `DeviceCopied`, and `NotYet` where the database was restored and what
   *  knows how to go on has not come: the store stays in the epoch before, so the next socket begins with this again. */
  welcome(welcome: Welcome, reset: boolean, link: LinkQuality): void {
    // A socket that ended while it was still in doubt has left the store in the epoch before.
    reset ||= ![0, welcome.epoch].includes(this.store.epoch);
    if (reset && !this.keeping) throw new NotYet("the database was restored");
    this.openMax = link >= LinkQuality.FAIR ? STREAMS_OPEN_POOR_MAX : STREAMS_OPEN_MAX;
    const { world } = this;
    const doubt = reset ? this.keeping!.doubtAll(welcome, () => this.onWake(), (ms, act) => this.after(ms, act), () => world.spread()) : undefined;
    if (!doubt) return this.begin(welcome, reset);
    this.inStep = false;
    this.doubt = doubt;
    this.onWake();
  }

  private begin(welcome: Welcome, reset: boolean): void {
    if (reset) this.keeping!.restore(welcome.last_number);
    if (this.store.epoch !== welcome.epoch) {
      this.store.beginEpoch(welcome.epoch);
      this.mutations.overlay?.reload();
    }
    this.streams.welcome(reset);
    this.mutations.welcome(welcome.last_number, welcome.limits.in_flight_max);
    this.limits = welcome.limits;
    this.inboxId = welcome.inbox;
    if (this.inbox) this.readInbox(this.inboxId, this.inbox.reader);
    this.questions.welcome();
    this.overview.welcome();
    this.keeping?.welcome();
    this.onWake();
    this.changed();
  }

  /** The socket is gone. */
  cut(): void {
    this.succeed();
    this.inStep = false;
    for (const off of this.timers) off();
    this.timers.clear();
    this.doubt = undefined;
    this.limits = undefined;
    this.remarks.clear();
    this.mutations.cut();
    this.streams.cut();
    this.questions.cut();
    this.overview.cut();
    this.keeping?.cut();
    this.changed();
  }

  /** The frames of the next message, requests first; empty if there is nothing to say. What it returns counts as sent. */
  collect(): Uint8Array[] {
    if (this.doubt) return this.doubt.take();
    if (!this.limits) return [];
    const frames: Uint8Array[] = [];
    let room = Math.min(MESSAGE_BYTES_GOAL, this.limits.message_bytes_max);
    for (const frame of this.commands()) {
      frames.push(frame);
      room -= frame.length;
    }
    frames.push(...this.mutations.take(room, BATCH_FRAMES_MAX - frames.length));
    if (frames.length) this.inStep = false;
    else if (!this.inStep && this.isComplete) {
      this.inStep = true;
      this.succeed();
      this.changed();
    }
    return frames;
  }

  private commands(): Uint8Array[] {
    const { keeping } = this;
    this.overview.askWhatIsDue();
    keeping?.askWhatIsDue();
    const frames = [...this.questions.commands(), ...this.streams.takeUnfollows()];
    for (const stream of (keeping ?? this.streams.positions).unasked()) {
      if (this.streams.asking + (keeping?.askedPages ?? 0) >= this.openMax) break;
      if (keeping?.isFetching(stream)) keeping.askPage(stream);
      else frames.push(this.streams.ask(stream));
    }
    frames.push(...this.questions.commands(), ...[...this.remarks.values()].map(encode));
    this.remarks.clear();
    return frames;
  }

  /** Takes one frame that is not about the session itself. Throws `ServerFault`, and `DeviceCopied`. */
  hear(frame: Heard): void {
    if (this.doubt) {
      const { welcome } = this.doubt;
      if (!this.doubt.hear(frame)) return;
      this.doubt = undefined;
      return this.begin(welcome, true);
    }
    if (isFact(frame)) this.streams.hearEvent(frame);
    else if (frame.type === "Done") this.mutations.commit(frame.number, [frame.value]);
    else if (frame.type === "DoneRun") this.mutations.commit(frame.first, frame.values);
    else if (frame.type === "Followed") this.streams.hearFollowed(frame);
    else if (frame.type === "Spaces") this.questions.hear(frame);
    // All other frames are of the rest of the wire, so it is here.
    else if (rest()!.isHint(frame)) return this.onHint(frame);
    else rest()!.hearRest(this, frame);
    if (this.keeping?.isDoubtful || (!this.inStep && this.isComplete)) this.onWake();
    this.changed();
  }

  /** Notes the time if all is up and all is down. */
  private succeed(): void {
    if (!this.isComplete) return;
    this.succeededAt = this.world.wall();
    this.store.note("succeeded", this.succeededAt);
  }
}
