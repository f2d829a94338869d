/**
 * What is unsent leaves although no page is open: in a service worker, when the browser says that the network is back.
 *
 *     sync ─▶ has no page the socket's lock? ─▶ store ─▶ POST /api/v1/sync: Sync · Mutate … ─▶ outcomes ─▶ store ─▶ lock given back
 *                                                        a page comes: cut, what was kept is kept, lock given back
 *
 * The worker is one more contender for the lock by which tabs share a socket, and gives it back as soon as a page asks who has it. Numbers
 * and bytes are those of the store, so what a page sends again has had its effect once. Over HTTP, which takes no device over; and nothing
 * comes down but outcomes. What only a session can go on from (a restored database, a copied store, a log-in that is over) waits for a page.
 *
 * Invariant: the store is open here only while the lock is held here; a number is on the disk before it is sent.
 */
import type { Ending, Sending } from "./background_events";
import { learn } from "./codec";
import { AccountError, BadFrame, DeviceCopied, DiskFull, Unreachable } from "./errors";
import { Account, Credentials, type Login } from "./http_door";
import { IdbDisk } from "./idb_store";
import { Mutations } from "./mutations";
import { Overview } from "./overview";
import { Code, RETRY, type Frame, type Refused } from "./protocol";
import { Store, type Disk } from "./store";
import { SyncDoor } from "./sync_door";
import { MORE } from "./wire_more";

export { answerSyncs, type Ending, type Sending } from "./background_events";
export { sendInBackground, UNSENT } from "./background_wish";

/** Of one waking: a browser gives a worker some minutes, and a person's data are not ours. */
const MS_MAX = 60_000;
const BYTES_MAX = 256 * 1024;
const ROUND_BYTES = 8 * 1024;
const ROUND_FRAMES = 64;
/** A page that is closing holds the lock for a moment. */
const TRIES_MS: readonly number[] = [0, 500, 2_000, 5_000];
/** The server keeps 256 outcomes of a device. */
const UNHEARD_MAX = 128;
/** Update: its outcome is for whoever keeps the document. */
const FOR_A_PAGE: readonly unknown[] = [88];

export interface SendingOptions {
  /** Of the server; in a worker the worker's own, unless said otherwise. */
  readonly url?: string;
  /** As `openClient` was told. */
  readonly name?: string;
  /** As `openClient` was told: IndexedDB unless said otherwise. */
  readonly disk?: () => Promise<Disk>;
  readonly fetch?: typeof fetch;
  /** Instead of the platform's. */
  readonly locks?: Pick<LockManager, "request">;
  /** Of what is sent in one waking, at most about so many. */
  readonly bytesMax?: number;
  readonly msMax?: number;
}

/** Sends what is unsent, unless a page is there to do it. Rejected where the disk cannot be read. */
export async function sendUnsent(options: SendingOptions = {}): Promise<Sending> {
  const { name = "educonnect", locks = navigator.locks, msMax = MS_MAX } = options;
  const over = new AbortController();
  const channel = new BroadcastChannel(`educonnect/${name}`);
  // Whoever asks this has been refused the lock, and waits for it.
  channel.onmessage = (event) => (event.data as { kind?: string } | null)?.kind === "who" && over.abort("page");
  const late = setTimeout(() => over.abort("later"), msMax);
  try {
    for (const ms of TRIES_MS) {
      await pause(ms, over.signal);
      if (over.signal.aborted) break;
      // `ifAvailable` never stands in front of a page that waits for it.
      const made: Sending | undefined = await locks.request(`educonnect/${name}/socket`, { ifAvailable: true }, (lock) => (lock ? sendHere(options, name, over.signal) : undefined));
      if (made) return made;
    }
    return { ending: "page", decided: 0 };
  } finally {
    clearTimeout(late);
    channel.close();
  }
}

async function sendHere(options: SendingOptions, name: string, over: AbortSignal): Promise<Sending> {
  const store = await Store.open(await (options.disk ?? (() => IdbDisk.open(name)))());
  const visit = new Visit(store, options, over);
  try {
    const ending = await visit.run();
    await store.durable();
    return { ending, decided: visit.decided };
  } catch (error) {
    return { ending: endingOf(error, over), decided: visit.decided };
  } finally {
    // What cannot be written is asked for again, under its number.
    await store.close().catch(() => undefined);
  }
}

/** What went wrong, for who called. Throws what is our own fault. */
function endingOf(error: unknown, over: AbortSignal): Ending {
  if (over.aborted) return over.reason as Ending;
  // The page knows how to go on: as another device, with less that is kept.
  if (error instanceof DeviceCopied || error instanceof DiskFull) return "page";
  if (error instanceof AccountError) return !error.final ? "later" : error.status === 401 ? "signed-out" : "page";
  if (error instanceof Unreachable || error instanceof BadFrame) return "later";
  throw error;
}

/** One waking: from a welcome on, as long as every round is answered to its end. */
class Visit {
  decided = 0;
  private readonly mutations: Mutations;
  private bytesLeft: number;
  /** The lowest number whose outcome is left to a page; 0: there is none. */
  private unheard = 0;

  constructor(
    private readonly store: Store,
    private readonly options: SendingOptions,
    private readonly over: AbortSignal,
  ) {
    this.bytesLeft = options.bytesMax ?? BYTES_MAX;
    this.mutations = new Mutations(store, () => Date.now(), () => Math.random(), () => undefined, () => undefined);
    const overview = new Overview(store, { wonder: () => undefined }, () => undefined);
    this.mutations.decided = (_, operation, code, value) => {
      this.decided++;
      overview.decided(operation, code, value);
    };
  }

  async run(): Promise<Ending> {
    const { mutations, store } = this;
    const { url = location.origin, fetch: fetcher = (...given) => fetch(...given) } = this.options;
    const kept = store.noted("login");
    if (typeof kept !== "string") return "signed-out";
    if (!mutations.pending) return "sent";
    const login = JSON.parse(kept) as Login;
    if (login.device !== store.device || store.noted("heir")) return "page";
    const credentials = new Credentials(new Account(url, fetcher), login, (newer) => store.note("login", JSON.stringify(newer)));
    learn(MORE);
    const door = new SyncDoor(url, fetcher, credentials, () => store.durable(), this.over);
    const [welcome] = await door.round(store.epoch, []);
    // Cursors and versions are of a history that is lost: a session asks first what is still there.
    if (![0, welcome.epoch].includes(store.epoch)) return "page";
    mutations.welcome(welcome.last_number, welcome.limits.in_flight_max);
    for (;;) {
      const frames = this.take(Math.min(ROUND_BYTES, welcome.limits.message_bytes_max));
      if (!frames.length) return this.isDone() ? "sent" : "page";
      this.bytesLeft -= frames.reduce((sum, one) => sum + one.length, 0);
      // Without its number on the disk a mutation could be sent twice.
      await store.durable();
      if (this.over.aborted) return this.over.reason as Ending;
      const [again, answers] = await door.round(store.epoch, frames);
      if (again.epoch !== welcome.epoch) return "page";
      if (!this.hear(answers)) return "later";
      if (this.bytesLeft <= 0 && !this.isDone()) return "later";
    }
  }

  private isDone(): boolean {
    return !this.mutations.ledger.length && !this.unheard;
  }

  /** The next ones, in order. */
  private take(room: number): Uint8Array[] {
    const { mutations, store } = this;
    if (this.unheard && store.lastNumber - this.unheard >= UNHEARD_MAX) return [];
    const frames: Uint8Array[] = [];
    for (let left = room; left > 0; ) {
      const taken = mutations.take(left, ROUND_FRAMES - frames.length);
      if (!taken.length) break;
      frames.push(...taken);
      left -= taken.reduce((sum, one) => sum + one.length, 0);
    }
    return frames;
  }

  /** Takes a round's answers; false: what is left is to be asked for another time. Throws `DeviceCopied`. */
  private hear(answers: readonly Frame[]): boolean {
    for (const frame of answers) {
      if (frame.type === "Done") this.settle(frame.number, Code.OK, frame.value, "");
      else if (frame.type === "DoneRun") frame.values.forEach((value, place) => this.settle(frame.first + place, Code.OK, value, ""));
      else if (frame.type === "Refused" && !this.refuse(frame)) return false;
      else if (frame.type === "Goodbye") return false;
    }
    // What has no answer at all was not decided in time.
    return !this.mutations.inFlight;
  }

  private refuse({ number, code, detail }: Refused): boolean {
    if ((RETRY[code] ?? (code >= 4000 ? "same" : "no")) !== "no") return false;
    if (code === Code.NUMBER_REUSED) throw new DeviceCopied(detail);
    this.settle(number, code, 0, detail);
    return true;
  }

  private settle(number: number, code: Code, value: number, detail: string): void {
    const one = this.mutations.ledger.settle(number);
    if (!one) return;
    if (FOR_A_PAGE.includes(one.operation[1])) this.unheard ||= number;
    else this.mutations.decide([{ key: one.key, code, value, detail }]);
  }
}

/** Waits; ends early when it is over. */
function pause(ms: number, over: AbortSignal): Promise<void> {
  if (!ms || over.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    over.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
