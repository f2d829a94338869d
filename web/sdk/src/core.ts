/**
 * One installation's session, in the tab that has it: account, store, exchange and runner, behind two doors that other tabs may use, too.
 *
 *     call(method, arguments) ─▶ promise          open(topic, arguments) ─▶ the present value, and each later one
 *
 * What goes through the doors can be cloned, so a tab without the socket talks to this one over a channel as if it were here (tabs.ts).
 *
 * Invariant: a topic's value is a function of store, exchange and runner; it is told again after each step that may have changed it.
 */
import type { Conversation, Hub, Me, Status } from "./api";
import { knows } from "./codec";
import { Desk } from "./desk";
import { DiskFull, Refused } from "./errors";
import { Exchange, type World } from "./exchange";
import { Account, Credentials, type Login } from "./http_door";
import { PARTS, type Inside, type Part } from "./parts";
import { Code, StreamKind, type Command, type Frame, type LinkQuality, type Operation } from "./protocol";
import { readChat, Room, roomOf } from "./rooms";
import { backoffMs } from "./session_machine";
import { Runner, type Link } from "./socket";
import { type Disk, Store } from "./store";

export { Ways } from "./ways";

/** Of a conversation that one was never in, or not for long, so many of the newest events come. */
const BACKLOG = 60;
const BEHIND_MAX = 500;
/** Conversations that are kept up to date while nobody looks at them. */
const ROOMS_MAX = 100;
const TOKEN_LEFT_MS = 10_000;
const CHATS: readonly number[] = [StreamKind.CHANNEL, StreamKind.CONVERSATION];
/** CommunityFounded, Joined, Left: of the events that are not taken apart, those that change nothing of the overview. */
const QUIET: readonly number[] = [10, 11, 12];
const RECORDS = "records";
const ANNOUNCING: readonly string[] = ["ChannelOpened", "ChannelChanged", "DocumentOpened", "DocumentChanged", "SettingsChanged", "RoleSet", "Renamed"];

export interface CoreOptions {
  readonly url: string;
  readonly disk: Disk;
  readonly world: World;
  readonly fetcher: typeof fetch;
  readonly socket: () => Link;
  readonly link: () => LinkQuality;
  readonly deviceName: string;
  /** Bytes for records; 0: as many as fit. */
  readonly quotaBytes: number;
  /** Names the database of files that wait; empty: they are kept in memory. */
  readonly files: string;
}

interface Topic {
  readonly name: string;
  readonly given: readonly number[];
  readonly listeners: Set<(value: unknown) => void>;
}

type Asking = Extract<Command, { id: number }>;

export class Core implements Hub, Inside {
  private readonly account: Account;
  private credentials: Credentials | undefined;
  exchange!: Exchange;
  private runner: Runner | undefined;
  private desk!: Desk;
  private readonly rooms = new Map<number, Room>();
  private readonly presence = new Map<number, { online: number; users: readonly number[] }>();
  private readonly topics = new Map<string, Topic>();
  private dirty = new Set<string>();
  /** Those that have come, and those that are on their way. */
  private readonly parts = new Map<string, Part>();
  private readonly coming = new Map<string, Promise<Part>>();
  /** The rest of the wire is on its way, and what is submitted meanwhile waits, to stay in order. */
  private learning: Promise<void> | undefined;
  /** What every session needs comes before what it needs later. */
  private begun = false;

  private constructor(
    readonly options: CoreOptions,
    readonly store: Store,
  ) {
    this.account = new Account(options.url, options.fetcher);
    store.onTrouble = (error) => this.makeRoom(error);
    const kept = store.noted("login");
    if (typeof kept === "string") this.credentials = this.credentialsOf(JSON.parse(kept) as Login);
    this.prepare();
    if (this.credentials) this.connect();
    for (const name of this.resident()) this.fetchPart(name);
  }

  /** Opens what is kept on the disk, and goes on from there. */
  static async open(options: CoreOptions): Promise<Core> {
    return new Core(options, await Store.open(options.disk));
  }

  // The doors

  async call(method: string, ...given: unknown[]): Promise<unknown> {
    const [name = "", rest] = method.split(".");
    const methods = rest ? (await this.part(name)).methods : this.methods;
    const act = (methods as Readonly<Record<string, (...given: any[]) => unknown>> | undefined)?.[rest ?? name];
    if (!act) throw new TypeError(`there is no ${method}`);
    return act(...given);
  }

  open(name: string, given: readonly number[], listener: (value: unknown) => void): () => void {
    const key = [name, ...given].join("/");
    let topic = this.topics.get(key);
    if (!topic) {
      this.topics.set(key, (topic = { name, given, listeners: new Set() }));
      this.opened(name, given, 1);
    }
    const { listeners } = topic;
    const mine = (value: unknown) => listener(value);
    listeners.add(mine);
    const value = this.read(topic);
    if (value !== undefined) listener(value);
    return () => {
      if (!listeners.delete(mine) || listeners.size) return;
      this.topics.delete(key);
      this.opened(name, given, -1);
    };
  }

  /** A topic's value; undefined while its part is on its way. */
  private read({ name, given }: Topic): unknown {
    const [part = "", rest] = name.split(".");
    const readers = rest ? this.parts.get(part)?.readers : this.readers;
    return (readers as Readonly<Record<string, (...given: number[]) => unknown>> | undefined)?.[rest ?? part]?.(...given);
  }

  // Parts

  /** A part, loaded at its first use. Rejected where it cannot be had now; the next one who asks tries again. */
  part(name: string): Promise<Part> {
    let coming = this.coming.get(name);
    if (!coming) {
      coming = this.load(name);
      this.coming.set(name, coming);
      coming.catch(() => this.coming.delete(name));
    }
    return coming;
  }

  private async load(name: string): Promise<Part> {
    const fetched = await PARTS[name]?.();
    if (!fetched) throw new TypeError(`there is no part ${name}`);
    const part = fetched.part(this);
    this.parts.set(name, part);
    part.begin?.();
    part.online?.(this.runner?.status.state === "online");
    for (const [key, topic] of this.topics) {
      if (!topic.name.startsWith(`${name}.`)) continue;
      part.opened?.(topic.name.slice(name.length + 1), topic.given, 1);
      this.touch(key);
    }
    return part;
  }

  /** What parts that are here answer. */
  private ofParts<T>(ask: (part: Part) => T | undefined): T[] {
    return [...this.parts.values()].flatMap((part) => ask(part) ?? []);
  }

  /** Somebody looks, or something is left to do: it is tried until the part is here. */
  private fetchPart(name: string, failures = 0): void {
    this.part(name).catch(() => this.options.world.later(backoffMs(failures, 1), () => this.fetchPart(name, failures + 1)));
  }

  private resident(): readonly string[] {
    return (this.store.noted("parts") ?? []) as readonly string[];
  }

  keepLoaded(name: string, on: boolean): void {
    const others = this.resident().filter((one) => one !== name);
    if (this.resident().includes(name) !== on) this.store.note("parts", on ? [...others, name] : others);
  }

  /** Ends it; what is kept stays. */
  async close(): Promise<void> {
    this.runner?.stop();
    await this.store.close();
  }

  private readonly methods = {
    logOut: async (everywhere: boolean) => {
      await this.credentials?.ask("POST", everywhere ? "auth/logout-everywhere" : "auth/logout", {}).catch(() => undefined);
      await this.leave();
    },
    ask: (method: string, route: string, body?: unknown) => this.ask(method, route, body),
    submit: (operation: Operation, nonce: string) => this.submit(operation, nonce),
    request: (command: Asking, answer: Frame["type"]) => this.request(command, answer),
    history: (stream: number, before: number, after: number, limit: number) => this.history(stream, before, after, limit),
    older: (stream: number, limit: number) => this.older(stream, limit),
    typing: (stream: number) => this.exchange.remark(`typing/${stream}`, { type: "Typing", stream }),
    discard: async (key: number) => {
      this.store.discard(key);
      for (const room of this.rooms.values()) room.discard(key);
      this.touch("records.failures", "status");
      await this.store.durable();
    },
    hurry: () => this.runner?.hurry(),
    synced: () => this.synced(),
  };

  private readonly readers = {
    status: () => this.status(),
    me: () => this.me(),
    places: () => this.desk.places(this.exchange.overview.spaces, (stream, read) => this.rooms.get(stream)?.unread(read, this.me()?.user ?? 0)),
    notices: () => this.desk.notices,
    stream: (stream: number) => this.room(stream).view(this.me()?.user ?? 0, this.options.world.wall(), this.ofParts((part) => part.outgoing?.(stream))[0]),
    presence: (space: number) => this.presence.get(space) ?? { online: 0, users: [] },
  };

  // Who one is

  now(): number {
    return Math.max(0, Math.floor(this.options.world.wall() / 1000));
  }

  me(): Me | null {
    const login = this.credentials?.login;
    return login ? { user: login.user, device: login.device, name: login.name, displayName: login.display_name } : null;
  }

  ask(method: string, route: string, body?: unknown): Promise<unknown> {
    return this.credentials ? this.credentials.ask(method, route, body) : this.account.ask(method, route, body);
  }

  /** The access token, good for some seconds at least; empty: nobody is logged in. */
  async token(): Promise<string> {
    const { credentials, options, runner } = this;
    if (credentials && credentials.login.expires_at * 1000 - options.world.wall() - (runner?.aheadMs ?? 0) < TOKEN_LEFT_MS) await credentials.renew();
    return credentials?.login.access_token ?? "";
  }

  private credentialsOf(login: Login): Credentials {
    const kept = (newer: Login) => {
      this.store.note("login", JSON.stringify(newer));
      this.touch("me");
    };
    return new Credentials(this.account, login, kept);
  }

  async enter(login: Login): Promise<Me> {
    this.runner?.stop();
    const before = this.me();
    // What is kept is one person's.
    if (before && before.user !== login.user) this.store.clear();
    this.credentials = this.credentialsOf(login);
    this.store.note("login", JSON.stringify(login));
    if (login.device) this.store.bind(login.device);
    this.prepare();
    await this.store.durable();
    this.connect();
    return this.me()!;
  }

  private async leave(): Promise<void> {
    this.runner?.stop();
    this.runner = undefined;
    this.credentials = undefined;
    this.store.clear();
    this.prepare();
    await this.store.durable();
  }

  /** Everything that is folded from the store, anew. */
  private prepare(): void {
    const { store, options } = this;
    this.rooms.clear();
    this.presence.clear();
    const exchange = (this.exchange = new Exchange(store, options.world));
    const { mutations, overview, streams } = exchange;
    this.desk = new Desk(store, (what) => this.touch(what));
    exchange.changed = () => this.touch("status", "records.unsent");
    overview.changed = () => {
      this.touch("places", "status");
      this.followPlaces();
    };
    const news = streams.news;
    streams.news = (fact, taken) => {
      this.desk.heard(fact.stream, fact.seq);
      news(fact, taken);
    };
    const decided = mutations.decided;
    mutations.decided = (key, operation, code, value, detail) => {
      decided(key, operation, code, value, detail);
      const chat = readChat(operation);
      if (chat) this.rooms.get(roomOf(chat))?.decided(key, value, code ? detail || `refused with code ${code}` : "");
      for (const part of this.parts.values()) part.decided?.(key, operation, code, value, detail);
    };
    exchange.onHint = (hint) => {
      if (hint.type === "Presence") {
        this.presence.set(hint.space, hint);
        return this.touch(`presence/${hint.space}`);
      }
      if (hint.type !== "IsTyping") {
        for (const part of this.parts.values()) part.heard?.(hint);
        return;
      }
      const ms = this.rooms.get(hint.stream)?.heardTyping(hint.user, options.world.wall());
      if (ms) options.world.later(ms + 50, () => this.touch(`stream/${hint.stream}`));
    };
    const inbox = this.credentials?.login.inbox;
    if (inbox) this.followInbox(inbox);
    this.followPlaces();
    for (const part of this.parts.values()) part.begin?.();
    for (const key of this.topics.keys()) this.touch(key);
  }

  private connect(): void {
    const { options, exchange } = this;
    const credentials = this.credentials!;
    const runner = (this.runner = new Runner(
      exchange,
      credentials,
      { open: options.socket, link: options.link, heartbeatS: 0, software: options.deviceName, inherit: () => this.inherit() },
      options.world,
    ));
    runner.onWelcome = ({ inbox }) => this.followInbox(inbox);
    runner.onStatus = () => {
      const online = runner.status.state === "online";
      if (!online) for (const room of this.rooms.values()) room.cut();
      for (const part of this.parts.values()) part.online?.(online);
      this.touch("status");
      if (runner.status.state !== "connecting") this.begin();
    };
    runner.start();
  }

  private async inherit(): Promise<void> {
    const { inherit, SyncDoor } = await import("./heirs");
    const { exchange, options, store } = this;
    await inherit(store, exchange.mutations, new SyncDoor(options.url, options.fetcher, this.credentials!, () => store.durable()));
  }

  /** The first attempt has its outcome: now comes what a session needs besides. */
  private begin(): void {
    if (!this.begun) this.fetchPart(RECORDS);
    this.begun = true;
  }

  // What comes

  private followInbox(inbox: number): void {
    this.exchange.streams.readers.set(inbox, this.desk);
    this.exchange.followInbox(inbox);
  }

  /** Conversations come by themselves, and what communities announce. */
  private followPlaces(): void {
    const { overview, streams } = this.exchange;
    let rooms = 0;
    for (const space of overview.spaces?.spaces ?? []) {
      for (const { stream, kind, head } of space.streams) {
        if (CHATS.includes(kind) && rooms++ < ROOMS_MAX) this.room(stream, head);
        else if (kind === StreamKind.COMMUNITY && !streams.readers.has(stream)) this.hearAnnouncements(stream, head);
      }
    }
  }

  private hearAnnouncements(stream: number, head: number): void {
    const { overview, streams } = this.exchange;
    const again = () => overview.want();
    streams.readers.set(stream, {
      take: (fact) => {
        if (fact.type === "Event" ? ANNOUNCING.includes(fact.body.type) : !QUIET.includes(fact.tag)) again();
      },
      caughtUp: () => undefined,
      refused: () => undefined,
      restarted: again,
    });
    // What was announced before is in the overview.
    streams.startAt(stream, Math.max(head, streams.positions.cursor(stream)));
  }

  /** A conversation, followed. `head`: its last event, where that is known. */
  private room(stream: number, head = this.headOf(stream)): Room {
    const { streams } = this.exchange;
    let room = this.rooms.get(stream);
    const after = Math.max(0, head - BACKLOG);
    if (!room) {
      this.rooms.set(stream, (room = Room.restore(this.store, stream, after, () => this.touch(`stream/${stream}`))));
      streams.readers.set(stream, room);
      for (const { key, operation, at, echo } of this.store.settled.values()) if (echo) this.lay(key, operation, at, echo);
      for (const kept of this.store.mutations.values()) this.lay(kept.key, kept.operation);
      for (const kept of this.store.unapplied()) {
        this.lay(kept.key, kept.operation);
        room.decided(kept.key, 0, kept.detail || `refused with code ${kept.code}`);
      }
      if (streams.positions.cursor(stream) !== room.upto) streams.startAt(stream, room.upto);
    }
    if (head - room.upto > BEHIND_MAX) {
      room.beginAfter(after);
      streams.startAt(stream, after);
    }
    streams.follow(stream, room.upto);
    return room;
  }

  private headOf(stream: number): number {
    const spaces = this.exchange.overview.spaces?.spaces ?? [];
    return spaces.flatMap((space) => space.streams).find((one) => one.stream === stream)?.head ?? 0;
  }

  /** A mutation of one's own is seen in its conversation. */
  private lay(key: number, raw: Uint8Array, at = this.now(), seq = 0): void {
    const operation = readChat(raw);
    if (operation) this.rooms.get(roomOf(operation))?.put(key, operation, at, seq);
  }

  private async older(stream: number, limit: number): Promise<boolean> {
    const room = this.room(stream);
    if (!room.start) return false;
    const { start } = room;
    const page = await this.exchange.questions.ask((id) => ({ type: "History", id, stream, before: start + 1, limit }), "Page");
    room.putInFront(page);
    return page.more;
  }

  /** A page as it stands in the server's log; what was edited reads as it does now. */
  private async history(stream: number, before: number, after: number, limit: number): Promise<Conversation> {
    const page = await this.exchange.questions.ask((id) => ({ type: "History", id, stream, before, after, limit }), "Page");
    const room = Room.of(page, this.store);
    return { ...room.view(this.me()?.user ?? 0, this.options.world.wall()), caughtUp: !page.more };
  }

  /** Somebody begins (1) or ends (-1) to look. */
  private opened(name: string, given: readonly number[], by: 1 | -1): void {
    const [id = 0] = given;
    const [part = "", rest] = name.split(".");
    if (rest) {
      if (by > 0 && (this.begun || part !== RECORDS)) this.fetchPart(part);
      this.parts.get(part)?.opened?.(rest, given, by);
      return;
    }
    if (name === "stream") this.room(id).open += by;
    if (name !== "presence") return;
    const { questions } = this.exchange;
    if (by > 0) questions.watched.add(id);
    else questions.watched.delete(id);
    if (this.runner?.status.state === "online") questions.wonder((asked) => ({ type: "Watch", id: asked, space: id, on: by > 0 }), () => undefined);
  }

  // What is asked for

  async submit(operation: Operation, nonce: string): Promise<number> {
    if (!this.credentials) throw new Refused(Code.UNAUTHENTICATED, "nobody is logged in here");
    if (this.learning || !knows(operation.type)) {
      await this.learn().catch((error: unknown) => {
        if (!knows(operation.type)) throw error;
      });
    }
    const { key, value } = this.exchange.mutations.submit(operation, nonce);
    // Whoever only looks at what is shown need not ask what became of it.
    value.catch(() => undefined);
    const kept = this.store.mutations.get(key);
    if (kept) this.lay(key, kept.operation);
    this.touch("status", "records.unsent");
    await this.store.durable();
    return value;
  }

  private learn(): Promise<void> {
    const fetched = import("./rest_of_wire").then(({ learnRest }) => learnRest());
    return (this.learning ??= fetched.finally(() => (this.learning = undefined)));
  }

  private async request(command: Asking, answer: Frame["type"]): Promise<Frame> {
    if (!knows(command.type) || !knows(answer)) await this.learn();
    return this.exchange.questions.ask((id) => ({ ...command, id }), answer);
  }

  private synced(): Promise<void> {
    return new Promise((resolve, reject) => {
      const off = this.open("status", [], () => {
        const ended = this.runner === undefined || this.runner.status.state === "ended";
        if (!ended && (!this.exchange.isComplete || this.status().pending)) return;
        queueMicrotask(() => off());
        if (ended) reject(new Refused(this.runner?.status.code ?? 0, this.runner?.status.detail ?? "nobody is logged in here"));
        else resolve();
      });
    });
  }

  // What is told

  private status(): Status {
    const { exchange, runner, store } = this;
    const { state, waitMs, code, detail } = runner?.status ?? { state: "signed-out" as const, waitMs: 0, code: 0, detail: "" };
    return {
      state,
      waitMs,
      code,
      detail,
      user: this.me()?.user ?? 0,
      // Of a part that is on its way nobody knows how much it has to send.
      pending: this.ofParts((part) => part.pending?.()).reduce((sum, one) => sum + one, exchange.mutations.pending + this.resident().filter((one) => !this.parts.has(one)).length),
      behind: exchange.behind,
      failed: store.unapplied().length,
      conflicts: exchange.keeping?.conflicts.length ?? 0,
      syncedAt: exchange.succeededAt,
      roundTripMs: runner?.roundTripMs ?? 0,
      leader: true,
    };
  }

  /** These topics may have other values now: told together, when this step of the program is over. */
  touch(...keys: string[]): void {
    if (!this.dirty.size) queueMicrotask(() => this.tell());
    for (const key of keys) this.dirty.add(key);
  }

  /** What somebody looks at now. */
  watched(): Iterable<string> {
    return this.topics.keys();
  }

  private tell(): void {
    const dirty = this.dirty;
    this.dirty = new Set();
    for (const key of dirty) {
      const topic = this.topics.get(key);
      if (!topic) continue;
      const value = this.read(topic);
      if (value !== undefined) for (const listener of [...topic.listeners]) listener(value);
    }
  }

  /** The disk has no room: records of what comes last in the order of streams go, and it is tried again. */
  private makeRoom(error: unknown): boolean {
    if (!(error instanceof DiskFull)) return false;
    return this.exchange.keeping?.makeRoom() ?? false;
  }
}
