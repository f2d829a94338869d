/**
 * What a device does of its own to keep its records: which streams there are, what of them is here, what has to be asked.
 *
 *     overview, refusals ─▶ which streams ─▶ plan ─▶ snapshot page by page, then follow · give up
 *     inbox, outcomes ────▶ doubt ─▶ Conflicts, page by page ─▶ the list
 *
 * It comes after the session has begun: what concerns it until then is in the store (overview.ts), and no stream of records is followed.
 *
 * How far a snapshot has come is in the store, so one that was cut goes on behind the last page that arrived. As client/upkeep.py,
 * snapshots.py, sync_streams.py, open_conflicts.py and scope.py.
 *
 * Invariant: what is due is asked on this socket or the next; a stream is either in a snapshot or followed; one with changes without an
 * outcome is never given up.
 */
import { decodeFrame, encode } from "./codec";
import { ServerFault } from "./errors";
import type { Keeping } from "./exchange";
import type { Mutations } from "./mutations";
import { DOUBTED, LEFT_SPACES, type Overview } from "./overview";
import { COMMUNITY } from "./positions";
import { Code, PRIORITIES, RECORD_KINDS, SpaceKind, StreamKind, type Conflict, type ConflictPage, type Raw, type RecordPage, type Spaces, type Welcome } from "./protocol";
import type { After, Questions } from "./questions";
import type { RecordStore } from "./record_store";
import type { Replica } from "./replica";
import { Doubt, newestSettled, restore, RESTORED } from "./restored";
import type { Store } from "./store";
import type { Streams } from "./streams";

const CONFLICTS_PAGE = 50;
const CONFLICTS_MAX = 1000;

/** A stream of records. `community`: the space it belongs to, also for what a member has of their own there; 0: it is the person's. */
export interface SyncStream {
  readonly stream: number;
  readonly kind: number;
  readonly space: number;
  readonly community: number;
  readonly head: number;
}

export class Upkeep implements Keeping {
  conflicts: readonly Conflict[];
  /** Bytes that records may take on this device; 0: as many as fit. */
  quotaBytes = 0;
  /** Told when conflicts are others now. */
  changed: () => void = () => undefined;
  private streamsOf: Map<number, SyncStream>;
  private readonly wanted = new Set<number>();
  private readonly openPages = new Set<number>();
  private readonly fetched = new Set<number>();
  /** By stream: what those that were given up took, so that they are not fetched again only to find no room. */
  private readonly gaveUp = new Map<number, number>();
  private planDue: boolean;
  private restoring: boolean;
  private doubted: boolean;
  private stale: boolean;
  private asking = false;

  constructor(
    private readonly store: Store,
    private readonly records: RecordStore,
    readonly replica: Replica,
    private readonly overview: Overview,
    private readonly mutations: Mutations,
    private readonly streams: Streams,
    private readonly questions: Questions,
    private readonly wake: () => void,
  ) {
    const { spaces } = overview;
    this.streamsOf = syncStreams(spaces);
    const gone = (store.noted("left") ?? []) as number[];
    for (const stream of gone) this.streamsOf.delete(stream);
    const conflicts = store.noted("conflicts") as Raw | undefined;
    this.conflicts = conflicts ? (decodeFrame(conflicts) as ConflictPage).conflicts : [];
    this.doubted = Boolean(store.noted(DOUBTED));
    this.stale = this.doubted || !conflicts;
    this.planDue = Boolean(spaces);
    this.restoring = Boolean(store.noted(RESTORED));
    streams.keep = (fact, read) => {
      const changed = fact.type === "Event" && fact.body.type === "Changed" ? fact.body : undefined;
      const isKept = Boolean(changed) || (!read && this.streamsOf.has(fact.stream));
      if (isKept) replica.hear(fact.stream, fact.seq, changed);
      return isKept;
    };
    streams.refused = (stream, code) => this.refuse(stream, code);
    this.rank();
    for (const space of (store.noted(LEFT_SPACES) ?? []) as number[]) this.leave(space);
    store.note(LEFT_SPACES, undefined);
    // What is here of streams that the overview, which may have come before this, does not know.
    if (spaces) for (const stream of records.sizes().keys()) if (!this.streamsOf.has(stream)) this.drop([stream]);
  }

  // What is there

  /** The streams of records, most urgent first. */
  all(): SyncStream[] {
    return [...this.streamsOf.values()].sort((a, b) => priorityOf(a.kind) - priorityOf(b.kind) || a.stream - b.stream);
  }

  get isComplete(): boolean {
    return !this.stale && !this.asking && !this.planDue && !this.wanted.size;
  }

  /** How many streams are not up to date. */
  get behind(): number {
    return new Set([...this.wanted, ...this.streams.positions.missing()]).size;
  }

  /** Something has happened to a conflict while the answer about it was on its way. */
  get isDoubtful(): boolean {
    return this.stale && !this.asking;
  }

  // The socket's side

  /** What this device knows as decided is asked again, if there is anything. */
  doubtAll(welcome: Welcome, wake: () => void, after: After, spread: () => number): Doubt | undefined {
    const newest = newestSettled(this.store, welcome.last_number);
    return newest.length ? new Doubt(newest, welcome, wake, after, spread) : undefined;
  }

  /** The database is back at an earlier time: streams of records begin with a snapshot of it, once all is up. */
  restore(lastNumber: number): void {
    restore(this.store, this.mutations, lastNumber);
    this.store.note(RESTORED, true);
    this.restoring = true;
    this.doubt();
    this.list([]);
    this.overview.want();
    for (const stream of this.streamsOf.keys()) this.streams.positions.forget(stream);
    for (const stream of this.records.sizes().keys()) if (!this.streamsOf.has(stream)) this.records.forget(stream);
  }

  welcome(): void {
    this.planDue = Boolean(this.overview.spaces);
  }

  cut(): void {
    this.openPages.clear();
    this.fetched.clear();
    this.stale ||= this.asking;
    this.asking = false;
  }

  /** Asks for what became due. */
  askWhatIsDue(): void {
    this.carryOutPlan();
    if (this.isDoubtful) {
      this.stale = false;
      this.asking = true;
      this.askConflicts([]);
    }
  }

  /** The streams to follow or to fetch a page of, the most urgent first. */
  unasked(): number[] {
    // An outcome of before that is heard after a snapshot would be waited for as an event, and that event was before the snapshot.
    const fetching = this.isUploading() || this.mutations.isLearning ? [] : [...this.wanted].filter((stream) => !this.openPages.has(stream));
    const following = this.streams.positions.unasked().filter((stream) => !this.wanted.has(stream));
    const { positions } = this.streams;
    return [...following, ...fetching].sort((a, b) => positions.priority(a) - positions.priority(b));
  }

  /** Whether all of a stream's records up to some time are on this device. */
  isHere(stream: number): boolean {
    return this.streams.positions.has(stream) && !this.wanted.has(stream);
  }

  isFetching(stream: number): boolean {
    return this.wanted.has(stream);
  }

  /** Pages that are asked for. */
  get askedPages(): number {
    return this.openPages.size;
  }

  /** Asks for the next page of a snapshot. */
  askPage(stream: number): void {
    const mark = this.records.snapshots.get(stream);
    this.openPages.add(stream);
    this.questions.wonder(
      (id) => ({ type: "Snapshot", id, stream, entity: mark?.entity ?? 0, key: mark?.key ?? 0 }),
      (answer) => {
        if (!this.openPages.delete(stream)) return;
        if (answer.type === "Failed") {
          this.wanted.delete(stream);
          this.refuse(stream, answer.code);
        } else this.hearPage(stream, answer as RecordPage);
      },
    );
  }

  private hearPage(stream: number, page: RecordPage): void {
    if (page.type !== "RecordPage" || page.stream !== stream || (page.more && !page.records.length)) {
      throw new ServerFault(`${page.type} where a page of stream ${stream} belongs`);
    }
    const head = this.records.snapshots.get(stream)?.head ?? page.head;
    if (!this.replica.hearPage(page)) return;
    this.wanted.delete(stream);
    this.fetched.add(stream);
    this.streams.startAt(stream, head);
    this.planDue = true;
  }

  /** After a restore everything goes up before snapshots come down: they would show a state without it. */
  private isUploading(): boolean {
    if (this.restoring && !this.mutations.pending) {
      this.store.note(RESTORED, undefined);
      this.restoring = false;
    }
    return this.restoring;
  }

  // What follows from what was heard

  /** The overview is another one. */
  told(spaces: Spaces): void {
    const told = syncStreams(spaces);
    const gone = [...this.streamsOf.keys()].filter((stream) => !told.has(stream));
    this.streamsOf = told;
    this.store.note("left", undefined);
    this.lose(gone);
    this.rank();
    this.planDue = true;
  }

  /** One is no longer in a space: its streams go, and those of what one had of one's own there. */
  leave(space: number): void {
    this.lose([...this.streamsOf.values()].filter((one) => one.space === space || one.community === space).map((one) => one.stream));
  }

  /** A stream of records cannot be had: from this position (true: a snapshot goes on from it), or at all. */
  private refuse(stream: number, code: number): boolean {
    if (!this.streamsOf.has(stream)) return false;
    this.wake();
    if (code === Code.RESET) {
      // Once a socket: a server that refuses the head of its own snapshot would be asked without end.
      if (this.fetched.has(stream)) return false;
      this.streams.positions.forget(stream);
      this.wanted.add(stream);
      return true;
    }
    this.lose([stream]);
    this.overview.want();
    return false;
  }

  /** They may be read no longer: nothing of them stays, also not what their conflicts say of them. */
  private lose(streams: readonly number[]): void {
    for (const stream of streams) this.streamsOf.delete(stream);
    if (streams.length) this.store.note("left", [...new Set([...((this.store.noted("left") ?? []) as number[]), ...streams])]);
    this.drop(streams);
    const left = this.conflicts.filter((one) => !streams.includes(one.stream));
    if (left.length < this.conflicts.length) this.list(left);
  }

  private drop(streams: readonly number[]): void {
    for (const stream of streams) {
      this.wanted.delete(stream);
      this.openPages.delete(stream);
      this.streams.unfollow(stream, true);
      this.replica.forget(stream);
    }
  }

  private rank(): void {
    for (const one of this.streamsOf.values()) this.streams.positions.priorities.set(one.stream, priorityOf(one.kind));
  }

  // What is kept

  /** Room is short: what is kept is to take no more than this. */
  limit(quotaBytes: number): void {
    this.quotaBytes = quotaBytes;
    this.planDue = Boolean(this.overview.spaces);
    this.carryOutPlan();
    this.wake();
  }

  /** The disk has no room: records of what comes last in the order of streams go. False: there are none to speak of. */
  makeRoom(): boolean {
    const sizes = this.records.sizes();
    // What is the person's own stays, and does not count.
    const bytes = this.all().reduce((sum, { stream, kind }) => sum + (kind === StreamKind.OWN ? 0 : (sizes.get(stream) ?? 0)), 0);
    if (bytes < 1024) return false;
    this.limit(Math.floor(bytes / 2));
    return true;
  }

  /** Fetches what is to be kept and is not here, and drops what finds no room: what is kept is a beginning of the order of streams. */
  carryOutPlan(): void {
    if (!this.planDue) return;
    this.planDue = false;
    const sizes = this.records.sizes();
    const pending = this.replica.pendingStreams();
    const isHeld = (stream: number) => this.streams.positions.has(stream) || this.wanted.has(stream);
    const all = this.all();
    let used = all.reduce((sum, { stream }) => sum + (pending.has(stream) ? (sizes.get(stream) ?? 0) : 0), 0);
    let full = false;
    for (const { stream, kind } of all) {
      const bytes = sizes.get(stream) ?? this.gaveUp.get(stream) ?? 0;
      const held = isHeld(stream);
      if (!pending.has(stream) && kind !== StreamKind.OWN) {
        full ||= this.quotaBytes > 0 && (held || bytes > 0 ? used + bytes > this.quotaBytes : used >= this.quotaBytes);
        if (full) {
          if (held) {
            this.gaveUp.set(stream, bytes);
            this.drop([stream]);
          }
          continue;
        }
        used += bytes;
      }
      if (!held) this.wanted.add(stream);
      else if (!this.wanted.has(stream)) this.streams.follow(stream);
    }
  }

  // Conflicts

  doubt(): void {
    this.stale = true;
    if (!this.doubted) this.store.note(DOUBTED, true);
    this.doubted = true;
  }

  private askConflicts(before: readonly Conflict[]): void {
    const after = before.at(-1)?.conflict ?? 0;
    this.questions.wonder(
      (id) => ({ type: "Conflicts", id, after, open_only: true, conflict: 0, limit: CONFLICTS_PAGE }),
      (answer) => {
        if (answer.type !== "ConflictPage") {
          this.asking = false;
          return;
        }
        const listed = [...before, ...answer.conflicts];
        if (answer.more && answer.conflicts.length && listed.length < CONFLICTS_MAX) return this.askConflicts(listed);
        this.asking = false;
        this.list(listed);
        if (this.doubted && !this.stale) {
          this.doubted = false;
          this.store.note(DOUBTED, undefined);
        }
      },
    );
  }

  private list(conflicts: readonly Conflict[]): void {
    this.conflicts = conflicts;
    this.store.note("conflicts", encode({ type: "ConflictPage", id: 1, conflicts, more: false }));
    this.changed();
  }
}

function priorityOf(kind: number): number {
  return PRIORITIES.get(kind) ?? COMMUNITY;
}

/** The streams of records that an overview tells of. */
function syncStreams(spaces: Spaces | undefined): Map<number, SyncStream> {
  const found = new Map<number, SyncStream>();
  for (const { space, kind, name, streams } of spaces?.spaces ?? []) {
    const community = kind === SpaceKind.ENROLMENT ? Number(name) || 0 : kind === SpaceKind.COMMUNITY ? space : 0;
    for (const one of streams) {
      if (RECORD_KINDS.includes(one.kind)) found.set(one.stream, { stream: one.stream, kind: one.kind, space, community, head: one.head });
    }
  }
  return found;
}
