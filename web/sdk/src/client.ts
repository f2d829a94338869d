/** The public face over a hub: this tab's own session, or that of the tab which has the socket. */
import type {
  Attempt,
  Challenge,
  Client as Face,
  Conversation,
  Decision,
  Failure,
  Hub,
  Kept,
  Live,
  LessonFiles,
  LiveStream,
  Me,
  MentorWish,
  Message,
  NewFile,
  NoticeView,
  Open,
  Places,
  RecordView,
  SayOptions,
  Status,
  Unsent,
} from "./api";
import type {
  Command,
  Conflict,
  ConflictPage,
  Found,
  Frame,
  HeldPage,
  MemberPage,
  MentorshipPage,
  MentorsFound,
  Operation,
  Person,
  ReportPage,
  Value,
  VersionPage,
} from "./protocol";

type Request = Extract<Command, { id: number }>;
const EMPTY_STATUS: Status = {
  state: "connecting",
  waitMs: 0,
  code: 0,
  detail: "",
  user: 0,
  pending: 0,
  behind: 0,
  failed: 0,
  conflicts: 0,
  syncedAt: 0,
  roundTripMs: 0,
  leader: false,
};
const CHOICES = { mine: 1, theirs: 2, merged: 3 } as const;
const ANSWER = 2;

/** A topic of the hub as a value that changes. */
class Watched<T> implements Open<T> {
  private readonly listeners = new Set<(value: T) => void>();
  private readonly off: () => void;

  constructor(
    hub: Hub,
    topic: string,
    given: readonly number[],
    public value: T,
  ) {
    this.off = hub.open(topic, given, (value) => {
      this.value = value as T;
      for (const listener of [...this.listeners]) listener(this.value);
    });
  }

  subscribe(listener: (value: T) => void): () => void {
    const mine = (value: T) => listener(value);
    this.listeners.add(mine);
    listener(this.value);
    return () => void this.listeners.delete(mine);
  }

  close(): void {
    this.listeners.clear();
    this.off();
  }
}

class Stream extends Watched<Conversation> implements LiveStream {
  constructor(
    private readonly hub: Hub,
    private readonly stream: number,
  ) {
    super(hub, "stream", [stream], { stream, start: 0, upto: 0, caughtUp: false, refused: 0, messages: [], mended: new Map(), typing: [] });
  }

  older(count = 50): Promise<boolean> {
    return this.hub.call("older", this.stream, count) as Promise<boolean>;
  }
}

export class Client implements Face {
  readonly status: Live<Status>;
  readonly me: Live<Me | null>;
  readonly places: Live<Places>;
  readonly notices: Live<readonly NoticeView[]>;
  readonly conflicts: Live<readonly Conflict[]>;
  readonly failures: Live<readonly Failure[]>;
  private readonly watched: Watched<unknown>[] = [];

  /** `end` closes what the hub is made of. */
  constructor(
    readonly hub: Hub,
    private readonly end: () => Promise<void>,
  ) {
    this.status = this.watchAll("status", EMPTY_STATUS);
    this.me = this.watchAll<Me | null>("me", null);
    this.places = this.watchAll<Places>("places", { spaces: [], invitations: [], blocked: new Set() });
    this.notices = this.watchAll<readonly NoticeView[]>("notices", []);
    this.conflicts = this.watchAll<readonly Conflict[]>("records.conflicts", []);
    this.failures = this.watchAll<readonly Failure[]>("records.failures", []);
  }

  private watchAll<T>(topic: string, value: T): Watched<T> {
    const watched = new Watched(this.hub, topic, [], value);
    this.watched.push(watched as Watched<unknown>);
    return watched;
  }

  private call<T>(method: string, ...given: unknown[]): Promise<T> {
    return this.hub.call(method, ...given) as Promise<T>;
  }

  private request<T extends Frame>(command: Request, answer: T["type"]): Promise<T> {
    return this.call("request", command, answer);
  }

  // Account

  signUp(name: string, password: string, displayName = ""): Promise<Me> {
    return this.call("door.signUp", name, password, displayName);
  }

  logIn(name: string, password: string): Promise<Me | Challenge> {
    return this.call("door.logIn", name, password);
  }

  prove(challenge: string, code: string): Promise<Me> {
    return this.call("door.prove", challenge, code);
  }

  adopt(login: unknown): Promise<Me> {
    return this.call("door.adopt", login);
  }

  logOut(everywhere = false): Promise<void> {
    return this.call("logOut", everywhere);
  }

  ask<T>(method: string, route: string, body?: unknown): Promise<T> {
    return this.call("ask", method, route, body);
  }

  // Conversations

  follow(stream: number): LiveStream {
    return new Stream(this.hub, stream);
  }

  say(stream: number, text: string, { replyTo = 0, mentions = [], attachments = [], files = [] }: SayOptions = {}): Promise<number> {
    if (files.length) return this.call("uploads.add", { stream, text, replyTo, mentions }, files, crypto.randomUUID());
    const plain = !replyTo && !mentions.length && !attachments.length;
    return this.submit(plain ? { type: "Say", stream, text } : { type: "Post", stream, text, reply_to: replyTo, mentions, attachments });
  }

  addLessonFiles(library: number, to: LessonFiles, files: readonly NewFile[]): Promise<number> {
    return this.call("uploads.add", { stream: library, text: "", replyTo: 0, mentions: [], lesson: to }, files, crypto.randomUUID());
  }

  lessonFiles(library: number, section: number): Open<readonly Message[]> {
    return new Watched<readonly Message[]>(this.hub, "uploads.lesson", [library, section], []);
  }

  waitingFile(message: number, place: number): Promise<Blob | null> {
    return this.call("uploads.bytes", message, place);
  }

  retryFiles(message: number): Promise<void> {
    return this.call("uploads.again", message);
  }

  edit(stream: number, target: number, text: string): Promise<number> {
    return this.submit({ type: "Edit", stream, target, text });
  }

  remove(stream: number, target: number): Promise<number> {
    return this.submit({ type: "Delete", stream, target });
  }

  react(stream: number, target: number, emoji: string, on = true): Promise<number> {
    return this.submit({ type: "React", stream, target, emoji, on });
  }

  markRead(stream: number, seq: number): Promise<number> {
    return this.submit({ type: "MarkRead", stream, seq });
  }

  typing(stream: number): void {
    void this.call("typing", stream);
  }

  submit(operation: Operation): Promise<number> {
    return this.call("submit", operation, crypto.randomUUID());
  }

  history(stream: number, where: { before?: number; after?: number; limit?: number }): Promise<Conversation> {
    const { before = 0, after = 0, limit = 50 } = where;
    return this.call("history", stream, before || after ? before : Number.MAX_SAFE_INTEGER, after, limit);
  }

  // Records

  records(stream: number, entity: number): Open<readonly RecordView[]> {
    return new Watched<readonly RecordView[]>(this.hub, "records.list", [stream, entity], []);
  }

  record(stream: number, entity: number, key: number): Open<RecordView> {
    const empty = { stream, entity, key, version: 0, fields: new Map(), gone: false, pending: 0 };
    return new Watched<RecordView>(this.hub, "records.one", [stream, entity, key], empty);
  }

  kept(stream: number): Open<Kept> {
    return new Watched<Kept>(this.hub, "records.kept", [stream], { known: false, here: false });
  }

  change(stream: number, entity: number, key: number, fields: ReadonlyMap<number, Value>, base?: number): Promise<number> {
    return this.call("records.change", stream, entity, key, fields, false, crypto.randomUUID(), base);
  }

  erase(stream: number, entity: number, key: number): Promise<number> {
    return this.call("records.change", stream, entity, key, new Map(), true, crypto.randomUUID());
  }

  newKey(): number {
    const [high = 0, low = 0] = crypto.getRandomValues(new Uint32Array(2));
    return (high % 2 ** 21) * 2 ** 32 + low || 1;
  }

  attempt(answers: number, question: number, { choices, text, seconds }: Attempt): Promise<number> {
    const fields = new Map<number, Value>();
    if (choices) fields.set(2, choices);
    if (text !== undefined) fields.set(3, text);
    if (seconds !== undefined) fields.set(4, seconds);
    return this.change(answers, ANSWER, question, fields);
  }

  resolve({ conflict, version }: Conflict, { choice, fields }: Decision): Promise<number> {
    const merged = choice === "merged" && fields ? fields : new Map();
    return this.call("records.resolve", conflict, version, CHOICES[choice], merged, crypto.randomUUID());
  }

  reopen(conflict: number): Promise<number> {
    return this.submit({ type: "Reopen", conflict });
  }

  claim(conflict: number, on = true): Promise<number> {
    return this.submit({ type: "Claim", conflict, on });
  }

  allConflicts({ after = 0, conflict = 0, open = false } = {}): Promise<ConflictPage> {
    return this.request({ type: "Conflicts", id: 0, after, open_only: open, conflict, limit: 50 }, "ConflictPage");
  }

  unsent(): Open<readonly Unsent[]> {
    return new Watched<readonly Unsent[]>(this.hub, "records.unsent", [], []);
  }

  versions(stream: number, entity: number, key: number, before = 0): Promise<VersionPage> {
    return this.request({ type: "Versions", id: 0, stream, entity, key, before }, "VersionPage");
  }

  discard(failure: number): Promise<void> {
    return this.call(failure < 0 ? "uploads.drop" : "discard", failure);
  }

  // Questions

  members(space: number, after = 0): Promise<MemberPage> {
    return this.request({ type: "Members", id: 0, space, after }, "MemberPage");
  }

  search(name: string): Promise<Person> {
    return this.request({ type: "Search", id: 0, name }, "Person");
  }

  find(words: string, { space = 0, stream = 0, place = new Uint8Array(), limit = 20 } = {}): Promise<Found> {
    return this.request({ type: "Find", id: 0, words, space, stream, place, limit }, "Found");
  }

  reports({ space = 0, platform = false, after = 0 } = {}): Promise<ReportPage> {
    return this.request({ type: "Reports", id: 0, space, platform, after }, "ReportPage");
  }

  held({ space = 0, platform = false, after = 0 } = {}): Promise<HeldPage> {
    return this.request({ type: "HeldItems", id: 0, space, platform, after }, "HeldPage");
  }

  findMentors(wish: MentorWish): Promise<MentorsFound> {
    return this.call("mentors.find", { type: "FindMentors", id: 0, ...wish });
  }

  mentorships(after = 0): Promise<MentorshipPage> {
    return this.request({ type: "Mentorships", id: 0, after }, "MentorshipPage");
  }

  markNotices(notices: readonly number[]): Promise<void> {
    return this.call("ask", "POST", "notices/read", { notices });
  }

  watch(space: number): Open<{ readonly online: number; readonly users: readonly number[] }> {
    return new Watched(this.hub, "presence", [space], { online: 0, users: [] as readonly number[] });
  }

  hurry(): void {
    void this.call("hurry");
  }

  /** Everything is up and everything that is wanted is here. Rejected when the session has ended. */
  synced(): Promise<void> {
    return this.call("synced");
  }

  async close(): Promise<void> {
    for (const one of this.watched) one.close();
    await this.end();
  }
}
