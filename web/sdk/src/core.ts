/**
 * One installation's session, in the tab that has it: account, store, exchange and runner, behind two doors that other tabs may use, too.
 *
 *     call(method, arguments) ─▶ promise          open(topic, arguments) ─▶ the present value, and each later one
 *
 * What goes through the doors can be cloned, so a tab without the socket talks to this one over a channel as if it were here (tabs.ts).
 *
 * Invariant: a topic's value is a function of store, exchange and runner; it is told again after each step that may have changed it.
 */
import type { Hub, Me, Status } from "./api";
import { knows } from "./codec";
import type { Desk } from "./desk";
import { Refused } from "./errors";
import { Exchange, type World } from "./exchange";
import type { Login } from "./http_door";
import { PARTS, type Inside, type Part } from "./parts";
import { Places } from "./places";
import { Code, StreamKind, type Command, type Frame, type LinkQuality, type Operation } from "./protocol";
import { bringRest, rarely, rest } from "./rarely";
import { readChat, Room, roomOf } from "./rooms";
import { backoffMs } from "./session_machine";
import { Runner, type Grant, type Link } from "./socket";
import { type Disk, Store } from "./store";

export { Ways } from "./ways";

/** Of a conversation that one was never in, or not for long, so many of the newest events come. */
const BACKLOG = 60;
const BEHIND_MAX = 500;
/** Conversations that are kept up to date while nobody looks at them. */
const ROOMS_MAX = 100;
const REST_MS = 60_000;
const CHATS: readonly number[] = [StreamKind.CHANNEL, StreamKind.CONVERSATION];
const RECORDS = "records";

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

type Methods = Readonly<Record<string, (...given: any[]) => unknown>>;
type Asking = Extract<Command, { id: number }>;

export class Core implements Hub, Inside {
  /** Who is logged in. */
  grant: Grant | undefined;
  exchange!: Exchange;
  runner: Runner | undefined;
  places!: Places;
  desk: Desk | undefined;
  readonly rooms = new Map<number, Room>();
  readonly presence = new Map<number, { online: number; users: readonly number[] }>();
  private readonly topics = new Map<string, Topic>();
  private dirty = new Set<string>();
  /** Those that have come, and those that are on their way. */
  readonly parts = new Map<string, Part>();
  private readonly coming = new Map<string, Promise<Part>>();
  /** The rest of the wire is on its way, and what is submitted meanwhile waits, to stay in order. */
  private learning: Promise<void> | undefined;
  /** What every session needs comes before what it needs later. */
  private begun = false;

  private constructor(
    readonly options: CoreOptions,
    readonly store: Store,
  ) {
    store.onTrouble = async (error) => (await bringRest()).makeRoom(this, error);
    const kept = store.noted("login");
    if (typeof kept === "string") this.grant = { login: JSON.parse(kept) as Login };
    this.prepare();
    if (this.grant) this.connect();
    // Whoever logs in needs it then.
    else rarely(options.world, () => undefined);
    for (const name of this.resident()) this.fetchPart(name);
  }

  /** Opens what is kept on the disk, and goes on from there. */
  static async open(options: CoreOptions): Promise<Core> {
    return new Core(options, await Store.open(options.disk));
  }

  // The doors

  async call(method: string, ...given: unknown[]): Promise<unknown> {
    const [name = "", rest] = method.split(".");
    const methods: Methods | undefined = rest ? (await this.part(name)).methods : name in this.methods ? this.methods : (await bringRest()).methodsOf(this);
    const act = methods?.[rest ?? name];
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
    await bringRest();
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

  private readonly methods: Methods = {
    submit: (operation: Operation, nonce: string) => this.submit(operation, nonce),
    request: (command: Asking, answer: Frame["type"]) => this.request(command, answer),
    hurry: () => this.runner?.hurry(),
  };

  private readonly readers = {
    status: () => this.status(),
    me: () => this.me(),
    places: () => this.places.view(this.exchange.overview.spaces, (stream, read) => this.rooms.get(stream)?.unread(read, this.me()?.user ?? 0)),
    notices: () => this.desk?.notices,
    stream: (stream: number) => this.room(stream).view(this.me()?.user ?? 0, this.options.world.wall(), this.ofParts((part) => part.outgoing?.(stream))[0]),
    presence: (space: number) => this.presence.get(space) ?? { online: 0, users: [] },
  };

  // Who one is

  now(): number {
    return Math.max(0, Math.floor(this.options.world.wall() / 1000));
  }

  me(): Me | null {
    const login = this.grant?.login;
    return login ? { user: login.user, device: login.device, name: login.name, displayName: login.display_name } : null;
  }

  async ask(method: string, route: string, body?: unknown): Promise<unknown> {
    return (await bringRest()).ask(this, method, route, body);
  }

  async token(): Promise<string> {
    return (await bringRest()).token(this);
  }

  /** Everything that is folded from the store, anew. */
  prepare(): void {
    const { store, options } = this;
    this.rooms.clear();
    this.presence.clear();
    const exchange = (this.exchange = new Exchange(store, options.world));
    const { mutations, overview, streams } = exchange;
    this.desk = undefined;
    this.places = new Places(store, () => this.touch("places"));
    exchange.changed = () => this.touch("status", "records.unsent");
    overview.changed = () => {
      this.touch("places", "status");
      this.followPlaces();
    };
    const news = streams.news;
    streams.news = (fact, taken) => {
      this.places.heard(fact.stream, fact.seq);
      news(fact, taken);
    };
    const decided = mutations.decided;
    mutations.decided = (key, operation, code, value, detail) => {
      decided(key, operation, code, value, detail);
      const chat = readChat(operation);
      if (chat) this.rooms.get(roomOf(chat))?.decided(key, value, code ? detail || `refused with code ${code}` : "");
      for (const part of this.parts.values()) part.decided?.(key, operation, code, value, detail);
    };
    this.followPlaces();
    if (this.begun) rarely(options.world, (rest) => rest.openDesk(this));
    for (const part of this.parts.values()) part.begin?.();
    for (const key of this.topics.keys()) this.touch(key);
  }

  connect(): void {
    const { options, exchange } = this;
    const grant = this.grant!;
    const credentials = () => rest()!.credentialsOf(this, grant);
    const runner = (this.runner = new Runner(
      exchange,
      grant,
      { open: options.socket, link: options.link, heartbeatS: 0, software: options.deviceName, credentials, inherit: () => rest()!.inherit(this, grant) },
      options.world,
    ));
    runner.onStatus = () => {
      const online = runner.status.state === "online";
      if (!online) for (const room of this.rooms.values()) room.cut();
      for (const part of this.parts.values()) part.online?.(online);
      this.touch("status");
      if (runner.status.state !== "connecting" && !this.begun) this.goOn();
    };
    runner.start();
  }

  /** The first attempt has its outcome: now comes what a session needs besides, of each account anew. */
  private goOn(): void {
    this.begun = true;
    rarely(this.options.world, (rest) => rest.openDesk(this));
    this.fetchPart(RECORDS);
  }

  // What comes

  /** Conversations come by themselves, and what communities announce. */
  followPlaces(): void {
    const { overview, streams } = this.exchange;
    let rooms = 0;
    for (const space of overview.spaces?.spaces ?? []) {
      for (const { stream, kind, head } of space.streams) {
        if (CHATS.includes(kind) && rooms++ < ROOMS_MAX) this.room(stream, head);
        else if (kind === StreamKind.COMMUNITY && !streams.readers.has(stream)) rest()?.hearAnnouncements(this.exchange, stream, head);
      }
    }
  }

  /** A conversation, followed. `head`: its last event, where that is known. */
  room(stream: number, head = this.headOf(stream)): Room {
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

  /** Somebody begins (1) or ends (-1) to look. */
  private opened(name: string, given: readonly number[], by: 1 | -1): void {
    const [id = 0] = given;
    const [part = "", rest] = name.split(".");
    if (rest) {
      if (by > 0 && (this.begun || part !== RECORDS)) this.fetchPart(part);
      this.parts.get(part)?.opened?.(rest, given, by);
      return;
    }
    if (name === "stream") {
      const room = this.room(id);
      room.open += by;
      // Who comes back at once finds what they read.
      if (by < 0) this.options.world.later(REST_MS, () => room.shorten());
    }
    if (name === "presence") rarely(this.options.world, (rest) => rest.watch(this, id, by > 0));
  }

  // What is asked for

  async submit(operation: Operation, nonce: string): Promise<number> {
    if (!this.grant) throw new Refused(Code.UNAUTHENTICATED, "nobody is logged in here");
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
    return (this.learning ??= bringRest().then(() => undefined).finally(() => (this.learning = undefined)));
  }

  private async request(command: Asking, answer: Frame["type"]): Promise<Frame> {
    if (!knows(command.type) || !knows(answer)) await this.learn();
    return this.exchange.questions.ask((id) => ({ ...command, id }), answer);
  }

  // What is told

  status(): Status {
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
}
