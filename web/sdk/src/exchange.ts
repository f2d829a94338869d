/**
 * What a device asks for, what it hears, and what is still open: everything of a session that is neither socket nor clock.
 *
 *     submit ─▶ mutations ─┐                            ┌─▶ mutations   (Done, Refused)  ─▶ replica, store
 *     ask ────▶ questions ─┼─collect─▶ bytes ·· frames ─hear─▶ questions (answers)
 *     follow ─▶ streams ───┤                            ├─▶ streams     (events)         ─▶ replica, readers
 *     records: upkeep ─────┘                            └─▶ upkeep
 *
 * Every change of state is synchronous, so a socket that is cut anywhere leaves streams, ledger and store agreeing with one another. As
 * client/exchange.py.
 *
 * Invariant: what is asked next is what is most urgent: mutations beside requests, then streams by their priorities, few at once where the
 * link is bad.
 */
import { encode, type Heard } from "./codec";
import { Mutations } from "./mutations";
import { BATCH_FRAMES_MAX, LinkQuality, type Command, type Cursor, type Limits, type Welcome } from "./protocol";
import { Questions, type After } from "./questions";
import { Replica } from "./replica";
import { ASKED, Doubt } from "./restored";
import type { Store } from "./store";
import { isFact, Streams } from "./streams";
import { Upkeep } from "./upkeep";

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

export class Exchange {
  readonly replica: Replica;
  readonly questions: Questions;
  readonly mutations: Mutations;
  readonly streams: Streams;
  readonly upkeep: Upkeep;
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
  private doubt: Doubt | undefined;
  private inStep = false;

  constructor(
    readonly store: Store,
    readonly world: World,
  ) {
    const wake = () => this.onWake();
    const spread = () => world.spread();
    const after: After = (ms, act) => this.after(ms, act);
    this.replica = new Replica(store);
    this.questions = new Questions(wake, after, (ms, act) => void world.later(ms, act), spread);
    this.mutations = new Mutations(store, this.replica, () => world.wall(), spread, wake, after);
    this.streams = new Streams(store, this.replica, () => this.questions.newId(), wake, after, spread);
    this.upkeep = new Upkeep(store, this.replica, this.mutations, this.streams, this.questions, wake);
    this.succeededAt = Number(store.noted("succeeded") ?? 0);
    this.mutations.decided = (_, operation, code, value) => this.upkeep.decided(operation, code, value);
    this.streams.news = (fact, taken) => {
      if (this.streams.positions.priorities.get(fact.stream) === INBOX) this.upkeep.hear(fact, taken);
    };
  }

  /** In which this device speaks: the store's, or, while it asks what a restored database knows, that one's. */
  get epoch(): number {
    return this.doubt?.welcome.epoch ?? this.store.epoch;
  }

  /** Everything is up and everything that is wanted is here, as far as this socket knows. */
  get isComplete(): boolean {
    return Boolean(this.limits) && !this.mutations.pending && this.upkeep.isComplete && !this.streams.positions.missing().length;
  }

  /** Whether something that was sent has no answer yet. */
  get isWaiting(): boolean {
    return Boolean(this.mutations.inFlight || this.streams.asking || this.questions.asking);
  }

  /** Wants what concerns the account itself, before anything else. */
  followInbox(inbox: number): void {
    this.streams.positions.priorities.set(inbox, INBOX);
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
    this.upkeep.carryOutPlan();
    return this.streams.hello();
  }

  /** The session is open: everything unanswered is asked for again. Throws `DeviceCopied`. */
  welcome(welcome: Welcome, reset: boolean, link: LinkQuality): void {
    // A socket that ended while it was still in doubt has left the store in the epoch before.
    reset ||= ![0, welcome.epoch].includes(this.store.epoch);
    const newest = reset ? this.mutations.newestSettled(welcome.last_number, ASKED) : [];
    this.openMax = link >= LinkQuality.FAIR ? STREAMS_OPEN_POOR_MAX : STREAMS_OPEN_MAX;
    if (!newest.length) return this.begin(welcome, reset);
    this.inStep = false;
    this.doubt = new Doubt(newest, welcome, () => this.onWake(), (ms, act) => this.after(ms, act), () => this.world.spread());
    this.onWake();
  }

  private begin(welcome: Welcome, reset: boolean): void {
    if (reset) {
      this.mutations.restore(welcome.last_number);
      this.upkeep.restore();
    }
    if (this.store.epoch !== welcome.epoch) {
      this.store.beginEpoch(welcome.epoch);
      this.replica.reload();
    }
    this.streams.welcome(reset);
    this.mutations.welcome(welcome.last_number, welcome.limits.in_flight_max);
    this.limits = welcome.limits;
    this.followInbox(welcome.inbox);
    this.questions.welcome();
    this.upkeep.welcome();
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
    this.upkeep.cut();
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
    this.upkeep.askWhatIsDue();
    const frames = [...this.questions.commands(), ...this.streams.takeUnfollows()];
    for (const stream of this.upkeep.unasked()) {
      if (this.streams.asking + this.upkeep.askedPages >= this.openMax) break;
      if (this.upkeep.isFetching(stream)) this.upkeep.askPage(stream);
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
    else if (frame.type === "IsTyping" || frame.type === "Presence" || frame.type === "IsAware") return this.onHint(frame);
    else if (frame.type === "Done") this.mutations.commit(frame.number, [frame.value]);
    else if (frame.type === "DoneRun") this.mutations.commit(frame.first, frame.values);
    else if (frame.type === "Refused") this.mutations.refuse(frame);
    else if (frame.type === "Followed") {
      this.upkeep.heads.set(frame.stream, frame.upto);
      this.streams.hearFollowed(frame);
    } else if (frame.type === "Lagged") this.streams.hearLagged(frame.stream);
    else if (frame.type === "Unfollowed") this.streams.hearUnfollowed(frame.stream, frame.code);
    else if (frame.type !== "Failed" || !this.streams.hearFailed(frame)) this.questions.hear(frame);
    if (this.upkeep.isDoubtful || (!this.inStep && this.isComplete)) this.onWake();
    this.changed();
  }

  /** Notes the time if all is up and all is down. */
  private succeed(): void {
    if (!this.isComplete) return;
    this.succeededAt = this.world.wall();
    this.store.note("succeeded", this.succeededAt);
  }
}
