/**
 * What a channel's or conversation's events amount to: messages with edits, reactions, deletions, and one's own on their way over them.
 *
 *     events ─fold─▶ Room, kept in the store with the cursor ─┐
 *     mutations without an outcome, and those just committed ──┴─▶ view
 *
 * The law: a page put in front plus the events after it equals the whole. Where the server rewrites its log (the present text of an edited
 * message, a tombstone for a deleted one), folding the rewritten events gives the same. As client/fold.py.
 *
 * Invariant: `take` is given each event once, in order; `upto` is the cursor in the store.
 */
import type { Conversation, Message } from "./api";
import { decodeBody, decodeOperation } from "./codec";
import type { Packed } from "./msgpack";
import type { Attachment, Body, Operation, Page, Raw } from "./protocol";
import type { Store } from "./store";
import type { Fact, Reader } from "./streams";

/** Messages that are kept for being offline; older ones are asked for. */
const KEPT_MAX = 100;
/** Messages that are held while somebody looks. */
const HELD_MAX = 2000;
const TYPING_MS = 6_000;

/** A message as the events tell it. */
interface Said {
  readonly seq: number;
  readonly author: number;
  readonly at: number;
  text: string;
  readonly replyTo: number;
  readonly mentions: readonly number[];
  edited: boolean;
  readonly attachments: readonly Attachment[];
}

type Reactions = Map<string, Set<number>>;
const NOBODY: ReadonlyMap<string, ReadonlySet<number>> = /* @__PURE__ */ new Map();

/** One of one's own mutations about this stream. */
interface Ours {
  readonly key: number;
  readonly operation: Operation;
  readonly at: number;
  /** The event as which it was committed; 0 while it has no outcome. */
  readonly seq: number;
  readonly failed: string;
}

export class Room implements Reader {
  private messages = new Map<number, Said>();
  private reactions = new Map<number, Reactions>();
  private deleted = new Set<number>();
  private earlyEdits = new Map<number, string>();
  private readonly ours = new Map<number, Ours>();
  private readonly typists = new Map<number, number>();
  private caught = false;
  private code = 0;
  /** Somebody looks: more is held. */
  open = 0;

  private constructor(
    private readonly store: Store,
    readonly stream: number,
    public start: number,
    public upto: number,
    private readonly changed: () => void,
  ) {}

  /** What is kept of a stream; otherwise an empty room that takes the events after `after`. */
  static restore(store: Store, stream: number, after: number, changed: () => void): Room {
    const kept = store.noted(`room/${stream}`) as readonly [number, number, readonly Packed[][], readonly Packed[][]] | undefined;
    const cursor = store.cursors.get(stream);
    if (!kept || kept[1] !== cursor) return new Room(store, stream, after, after, changed);
    const room = new Room(store, stream, kept[0], kept[1], changed);
    for (const [seq, author, at, text, replyTo, mentions, edited, files] of kept[2] as unknown as KeptMessage[]) {
      room.messages.set(seq, { seq, author, at, text, replyTo, mentions, edited, attachments: files.map(attachmentOf) });
    }
    for (const [seq, emoji, users] of kept[3] as unknown as [number, string, number[]][]) {
      const reactions = room.reactions.get(seq) ?? new Map();
      room.reactions.set(seq, reactions.set(emoji, new Set(users)));
    }
    return room;
  }

  /** What a page of events alone comes to; it is kept nowhere. */
  static of(page: Page, store: Store): Room {
    const first = page.events[0]?.seq ?? 1;
    const room = new Room(store, page.stream, first - 1, page.events.at(-1)?.seq ?? 0, () => undefined);
    for (const { seq, author, at, body } of page.events) room.fold(seq, author, at, decodeBody(body) as Body);
    return room;
  }

  private keep(): void {
    this.store.note(`room/${this.stream}`, () => {
      const kept = [...this.messages.values()].slice(-KEPT_MAX);
      const start = kept.length === this.messages.size ? this.start : (kept[0]?.seq ?? this.upto + 1) - 1;
      const messages = kept.map((one) => [one.seq, one.author, one.at, one.text, one.replyTo, one.mentions, one.edited, one.attachments.map(plainOf)] as Packed[]);
      const reactions = [...this.reactions].flatMap(([seq, of]) => (seq > start ? [...of].map(([emoji, users]) => [seq, emoji, [...users]]) : []));
      return [start, this.upto, messages, reactions];
    });
  }

  // What the server says

  take(fact: Fact): void {
    this.upto = fact.seq;
    if (fact.type === "Event") this.fold(fact.seq, fact.author, fact.at, fact.body);
    for (const [key, one] of this.ours) if (one.seq && one.seq <= this.upto) this.ours.delete(key);
    this.typists.delete(fact.author);
    this.shorten();
    this.keep();
    this.changed();
  }

  caughtUp(): void {
    this.caught = true;
    this.code = 0;
    this.changed();
  }

  refused(code: number): void {
    this.code = code;
    this.changed();
  }

  restarted(): void {
    this.beginAfter(0);
  }

  /** Forgets what it has and takes the events after `after`. */
  beginAfter(after: number): void {
    this.messages.clear();
    this.reactions.clear();
    this.deleted.clear();
    this.earlyEdits.clear();
    this.start = this.upto = after;
    this.caught = false;
    this.changed();
  }

  /** The socket is gone. */
  cut(): void {
    this.caught = false;
    this.typists.clear();
    this.changed();
  }

  /** Adds an older page, as the server's log stands now: it ends where this room starts. */
  putInFront(page: Page): void {
    const first = page.events[0];
    if (!first || page.events.at(-1)!.seq !== this.start) return;
    const older = Room.of(page, this.store);
    for (const [seq, text] of this.earlyEdits) older.edit(seq, text);
    for (const seq of this.deleted) older.delete(seq);
    for (const [seq, reactions] of this.reactions) {
      for (const [emoji, users] of reactions) for (const user of users) older.react(seq, emoji, user, true);
    }
    this.start = older.start;
    this.messages = new Map([...older.messages, ...this.messages]);
    this.reactions = older.reactions;
    this.deleted = older.deleted;
    this.earlyEdits = older.earlyEdits;
    this.changed();
  }

  private shorten(): void {
    const max = this.open ? HELD_MAX : KEPT_MAX;
    if (this.messages.size <= max * 1.2) return;
    const kept = [...this.messages.values()].slice(-max);
    this.start = kept[0]!.seq - 1;
    this.messages = new Map(kept.map((one) => [one.seq, one]));
    for (const seq of this.reactions.keys()) if (seq <= this.start) this.reactions.delete(seq);
    for (const seq of this.deleted) if (seq <= this.start) this.deleted.delete(seq);
    this.earlyEdits.clear();
  }

  private fold(seq: number, author: number, at: number, body: Body): void {
    if (body.type === "Said") this.messages.set(seq, { seq, author, at, text: body.text, replyTo: 0, mentions: [], edited: false, attachments: [] });
    else if (body.type === "Posted") {
      const { text, reply_to: replyTo, mentions, edited, attachments } = body;
      this.messages.set(seq, { seq, author, at, text, replyTo, mentions, edited, attachments });
    } else if (body.type === "Edited") this.edit(body.target, body.text);
    else if (body.type === "Deleted") this.delete(body.target);
    else if (body.type === "Reacted") this.react(body.target, body.emoji, author, body.on);
    else if (body.type === "Cleared") this.clear(body.author, body.upto);
  }

  private edit(target: number, text: string): void {
    const message = this.messages.get(target);
    if (message) this.messages.set(target, { ...message, text, edited: true });
    else if (target <= this.start) this.earlyEdits.set(target, text);
  }

  private delete(target: number): void {
    this.messages.delete(target);
    this.earlyEdits.delete(target);
    this.reactions.delete(target);
    this.deleted.add(target);
  }

  /** What `author` (0: everybody) wrote up to `upto` is gone, and with it whatever was about it. */
  private clear(author: number, upto: number): void {
    for (const [seq, message] of this.messages) if (seq <= upto && (author === 0 || author === message.author)) this.messages.delete(seq);
    for (const seq of this.reactions.keys()) if (seq > this.start && seq <= upto && !this.messages.has(seq)) this.reactions.delete(seq);
    if (author === 0) for (const seq of this.earlyEdits.keys()) if (seq <= upto) this.earlyEdits.delete(seq);
  }

  private react(target: number, emoji: string, user: number, on: boolean): void {
    if (this.deleted.has(target)) return;
    const reactions = this.reactions.get(target) ?? new Map<string, Set<number>>();
    const users = reactions.get(emoji) ?? new Set<number>();
    if (on) users.add(user);
    else users.delete(user);
    if (users.size) reactions.set(emoji, users);
    else reactions.delete(emoji);
    if (reactions.size) this.reactions.set(target, reactions);
    else this.reactions.delete(target);
  }

  // What is one's own

  /** A mutation about this stream is kept. */
  put(key: number, operation: Operation, at: number): void {
    this.ours.set(key, { key, operation, at, seq: 0, failed: "" });
    this.changed();
  }

  /** It has its outcome: `seq` is the event as which it was committed; `failed` says why it never will be. */
  decided(key: number, seq: number, failed: string): void {
    const one = this.ours.get(key);
    if (!one) return;
    if (!failed && seq <= this.upto) this.ours.delete(key);
    else this.ours.set(key, { ...one, seq, failed });
    this.changed();
  }

  /** The person has seen to a refused one. */
  discard(key: number): void {
    if (this.ours.delete(key)) this.changed();
  }

  /** Somebody types; forgotten after some seconds. */
  heardTyping(user: number, now: number): number {
    this.typists.set(user, now + TYPING_MS);
    this.changed();
    return TYPING_MS;
  }

  /** What is shown, for `me`, at Unix milliseconds `now`. */
  view(me: number, now: number): Conversation {
    const shown = new Map<number, Message>();
    for (const message of this.messages.values()) {
      const reactions = this.reactions.get(message.seq) ?? NOBODY;
      shown.set(message.seq, { ...message, key: 0, deleted: false, reactions, state: "sent", failed: "" });
    }
    const own: Message[] = [];
    for (const one of [...this.ours.values()].sort((a, b) => a.key - b.key)) {
      const message = this.overlay(shown, one, me);
      if (message) own.push(message);
    }
    for (const [user, until] of this.typists) if (until <= now) this.typists.delete(user);
    const typing = [...this.typists.keys()].filter((user) => user !== me);
    const { stream, start, upto } = this;
    return { stream, start, upto, caughtUp: this.caught, refused: this.code, messages: [...shown.values(), ...own], typing };
  }

  /** Lays one of one's own over what is shown; a new message is returned. */
  private overlay(shown: Map<number, Message>, { key, operation, at, seq, failed }: Ours, me: number): Message | undefined {
    if (operation.type === "Say" || operation.type === "Post") {
      const replyTo = (operation.type === "Post" && operation.reply_to) || 0;
      const mentions = (operation.type === "Post" && operation.mentions) || [];
      const state = failed ? "failed" : seq ? "sent" : "waiting";
      const base = { seq, key, author: me, at, text: operation.text, replyTo, mentions };
      return { ...base, edited: false, deleted: false, attachments: [], reactions: NOBODY, state, failed };
    }
    const target = "target" in operation ? shown.get(operation.target) : undefined;
    if (!target || failed) return undefined;
    const state = seq ? target.state : "waiting";
    if (operation.type === "Edit") shown.set(target.seq, { ...target, text: operation.text, edited: true, state });
    else if (operation.type === "Delete") shown.set(target.seq, { ...target, deleted: true, state });
    else if (operation.type === "React") {
      const reactions = new Map(target.reactions);
      const users = new Set(reactions.get(operation.emoji));
      if (operation.on ?? true) users.add(me);
      else users.delete(me);
      if (users.size) reactions.set(operation.emoji, users);
      else reactions.delete(operation.emoji);
      shown.set(target.seq, { ...target, reactions });
    }
    return undefined;
  }
}

type KeptMessage = [number, number, number, string, number, number[], boolean, KeptAttachment[]];
type KeptAttachment = [number, Raw, string, number, number, number, Raw, string];

function plainOf(one: Attachment): Packed[] {
  return [one.id, one.hash, one.media_type, one.size, one.width, one.height, one.placeholder, one.name];
}

function attachmentOf([id, hash, media_type, size, width, height, placeholder, name]: KeptAttachment): Attachment {
  return { id, hash, media_type, size, width, height, placeholder, name };
}

/** The stream that a chat operation is about; 0: it is about none. */
export function roomOf(operation: Operation): number {
  return ["Say", "Post", "Edit", "Delete", "React"].includes(operation.type) ? (operation as { stream: number }).stream : 0;
}

/** A chat operation that was kept, with its stream; null for others. */
export function readChat(raw: Raw): Operation | null {
  // Say, Edit, Delete, React, Post
  return [1, 2, 3, 4, 17].includes(raw[1] ?? 0) ? decodeOperation(raw) : null;
}
