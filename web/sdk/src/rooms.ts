/**
 * What a channel's or conversation's events amount to: messages with edits, reactions, deletions, and one's own on their way over them.
 *
 *     events ─fold─▶ Room, kept in the store with the cursor ─┐
 *     mutations without an outcome, and those just committed ──┴─▶ view
 *
 * The law: a page put in front plus the events after it equals the whole. Where the server rewrites its log (the present text of an edited
 * message, a tombstone for a deleted one), folding the rewritten events gives the same. As client/fold.py.
 *
 * A message is replaced where it changes, and the list of them only when one of them did: thousands that are held cost nothing while nothing
 * happens to them, and who shows them sees by identity what is new.
 *
 * What is done with whole pages, and seldom, is in pages.ts.
 *
 * Invariant: `take` is given each event once, in order; `upto` is the cursor in the store.
 */
import type { Conversation, Message } from "./api";
import { decodeOperation } from "./codec";
import type { Packed } from "./msgpack";
import type { Attachment, Body, Operation, Raw } from "./protocol";
import { rest } from "./rarely";
import { isChat, type Store } from "./store";
import type { Fact, Reader } from "./streams";

/** `kept`: messages that are kept for being offline, fewer once the disk was full; older ones are asked for. */
export const bounds = { kept: 100 };
/** Messages that are held while somebody looks. */
const HELD_MAX = 10_000;

type Reactions = ReadonlyMap<string, ReadonlySet<number>>;
export const NOBODY: Reactions = /* @__PURE__ */ new Map();
/** What a message has that nobody has done anything to. */
export const PLAIN = { key: 0, replyTo: 0, mentions: [], edited: false, deleted: false, attachments: [], files: [], reactions: NOBODY, state: "sent", failed: "" } as const;

/** Messages of one's own that wait for their files, and what is known of files that are ready, by upload. */
export interface Outgoing {
  readonly messages: readonly Message[];
  readonly files: ReadonlyMap<number, Attachment>;
}
const NOTHING: Outgoing = /* @__PURE__ */ Object.freeze({ messages: [], files: new Map() });

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
  messages = new Map<number, Message>();
  list: readonly Message[] | undefined;
  reactions = new Map<number, Reactions>();
  deleted = new Set<number>();
  earlyEdits = new Map<number, string>();
  /** Of pages that were asked for: as each message stands, and those of them to which something happened since. */
  readonly elsewhere = new Map<number, Message>();
  mended = new Map<number, Message>();
  private readonly ours = new Map<number, Ours>();
  readonly typists = new Map<number, number>();
  private caught = false;
  private code = 0;
  /** Somebody looks: more is held. */
  open = 0;

  constructor(
    readonly store: Store,
    readonly stream: number,
    public start: number,
    public upto: number,
    readonly changed: () => void,
  ) {}

  /** What is kept of a stream; otherwise an empty room that takes the events after `after`. */
  static restore(store: Store, stream: number, after: number, changed: () => void): Room {
    const kept = store.noted(`room/${stream}`) as readonly [number, number, readonly Packed[][], readonly Packed[][]] | undefined;
    const cursor = store.cursors.get(stream);
    if (!kept || kept[1] !== cursor) return new Room(store, stream, after, after, changed);
    const room = new Room(store, stream, kept[0], kept[1], changed);
    for (const [seq, emoji, users] of kept[3] as unknown as [number, string, number[]][]) {
      room.reactions.set(seq, new Map([...(room.reactions.get(seq) ?? []), [emoji, new Set(users)]]));
    }
    for (const [seq, author, at, text, replyTo, mentions, edited, files] of kept[2] as unknown as KeptMessage[]) {
      room.hold({ ...PLAIN, seq, author, at, text, replyTo, mentions, edited, attachments: files.map(attachmentOf) });
    }
    return room;
  }

  /** Writes down the newest. */
  keep(): void {
    this.store.note(`room/${this.stream}`, () => {
      const kept = [...this.messages.values()].slice(-bounds.kept);
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
    for (const [key, one] of this.ours) if (one.seq && one.seq <= this.upto) this.decided(key, one.seq, "");
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

  /** A message of such a page stands so now. */
  mend(target: number, change: Partial<Message>): void {
    const there = this.elsewhere.get(target);
    if (!there) return;
    const mended = { ...there, ...change };
    this.elsewhere.set(target, mended);
    this.mended = new Map(this.mended).set(target, mended);
  }

  mendReaction(target: number, emoji: string, user: number, on: boolean): void {
    this.mend(target, { reactions: reacted(this.elsewhere.get(target)?.reactions ?? NOBODY, emoji, user, on) });
  }

  /** Forgets what it has and takes the events after `after`. */
  beginAfter(after: number): void {
    this.messages.clear();
    this.list = undefined;
    this.reactions.clear();
    this.deleted.clear();
    this.earlyEdits.clear();
    this.elsewhere.clear();
    this.mended = new Map();
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

  /** Where nobody looks no more is held than is kept. */
  shorten(): void {
    const max = this.open > 0 ? HELD_MAX : bounds.kept;
    if (this.messages.size <= max * 1.2) return;
    this.list = undefined;
    const kept = [...this.messages.values()].slice(-max);
    this.start = kept[0]!.seq - 1;
    this.messages = new Map(kept.map((one) => [one.seq, one]));
    for (const seq of this.reactions.keys()) if (seq <= this.start) this.reactions.delete(seq);
    for (const seq of this.deleted) if (seq <= this.start) this.deleted.delete(seq);
    this.earlyEdits.clear();
  }

  fold(seq: number, author: number, at: number, body: Body): void {
    if (body.type === "Said") this.hold({ ...PLAIN, seq, author, at, text: body.text });
    else if (body.type === "Posted") {
      const { text, reply_to: replyTo, mentions, edited, attachments } = body;
      this.hold({ ...PLAIN, seq, author, at, text, replyTo, mentions, edited, attachments });
    } else if (body.type === "Edited") this.edit(body.target, body.text);
    else if (body.type === "Deleted") this.delete(body.target);
    else if (body.type === "Reacted") this.react(body.target, body.emoji, author, body.on);
    else if (body.type === "Cleared") rest()!.clear(this, body);
  }

  /** A message as it is now, with its reactions. */
  private hold(message: Message): void {
    this.list = undefined;
    this.messages.set(message.seq, { ...message, reactions: this.reactions.get(message.seq) ?? NOBODY });
  }

  edit(target: number, text: string): void {
    const message = this.messages.get(target);
    this.mend(target, { text, edited: true });
    if (message) this.hold({ ...message, text, edited: true });
    else if (target <= this.start) this.earlyEdits.set(target, text);
  }

  delete(target: number): void {
    this.mend(target, { deleted: true });
    this.list = undefined;
    this.messages.delete(target);
    this.earlyEdits.delete(target);
    this.reactions.delete(target);
    this.deleted.add(target);
  }

  react(target: number, emoji: string, user: number, on: boolean): void {
    if (this.deleted.has(target)) return;
    this.mendReaction(target, emoji, user, on);
    const reactions = reacted(this.reactions.get(target) ?? NOBODY, emoji, user, on);
    if (reactions.size) this.reactions.set(target, reactions);
    else this.reactions.delete(target);
    const message = this.messages.get(target);
    if (message) this.hold(message);
  }

  /** How many messages of others came after `read`. Of events that are not here each counts. */
  unread(read: number, me: number): number {
    let count = Math.max(0, this.start - read);
    for (const { seq, author } of this.messages.values()) if (seq > read && author !== me) count++;
    return count;
  }

  // What is one's own

  /** A mutation about this stream is kept; `seq`: it was committed as this event, which may not have come. */
  put(key: number, operation: Operation, at: number, seq = 0): void {
    this.ours.set(key, { key, operation, at, seq, failed: "" });
    if (seq) this.decided(key, seq, "");
    this.changed();
  }

  /** It has its outcome: `seq` is the event as which it was committed; `failed` says why it never will be. */
  decided(key: number, seq: number, failed: string): void {
    const one = this.ours.get(key);
    if (!one) return;
    if (!failed && seq <= this.upto) {
      this.ours.delete(key);
      this.store.heardEcho(key);
    } else this.ours.set(key, { ...one, seq, failed });
    this.changed();
  }

  /** The person has seen to a refused one. */
  discard(key: number): void {
    if (this.ours.delete(key)) this.changed();
  }

  /** What is shown, for `me`, at Unix milliseconds `now`. */
  view(me: number, now: number, { messages: outgoing, files }: Outgoing = NOTHING): Conversation {
    let messages = (this.list ??= [...this.messages.values()]);
    let { mended } = this;
    if (this.ours.size || outgoing.length) {
      const changed = new Map<number, Message>();
      const own: Message[] = [];
      for (const one of [...this.ours.values()].sort((a, b) => a.key - b.key)) {
        const message = this.overlay(changed, one, me, files);
        if (message) own.push(message);
      }
      if (changed.size) mended = new Map([...mended, ...changed]);
      messages = [...(changed.size ? messages.map((one) => changed.get(one.seq) ?? one) : messages), ...own, ...outgoing];
    }
    for (const [user, until] of this.typists) if (until <= now) this.typists.delete(user);
    const typing = [...this.typists.keys()].filter((user) => user !== me);
    const { stream, start, upto } = this;
    return { stream, start, upto, caughtUp: this.caught, refused: this.code, messages, mended, typing };
  }

  /** Lays one of one's own over what is shown; a new message is returned. */
  private overlay(changed: Map<number, Message>, { key, operation, at, seq, failed }: Ours, me: number, files: Outgoing["files"]): Message | undefined {
    if (operation.type === "Say" || operation.type === "Post") {
      const { reply_to: replyTo = 0, mentions = [], attachments = [] } = operation.type === "Post" ? operation : {};
      const state = failed ? "failed" : seq ? "sent" : "waiting";
      const known = attachments.flatMap((one) => files.get(one) ?? []);
      return { ...PLAIN, seq, key, author: me, at, text: operation.text, replyTo, mentions, attachments: known, state, failed };
    }
    const named = "target" in operation ? operation.target : 0;
    const target = changed.get(named) ?? this.messages.get(named) ?? this.elsewhere.get(named);
    if (!target || failed) return undefined;
    const state = seq ? target.state : "waiting";
    if (operation.type === "Edit") changed.set(named, { ...target, text: operation.text, edited: true, state });
    else if (operation.type === "Delete") changed.set(named, { ...target, deleted: true, state });
    else if (operation.type === "React") {
      changed.set(named, { ...target, reactions: reacted(target.reactions, operation.emoji, me, operation.on ?? true) });
    }
    return undefined;
  }
}

/** The reactions after one more, or one less. */
function reacted(before: Reactions, emoji: string, user: number, on: boolean): Reactions {
  const users = new Set(before.get(emoji));
  if (on) users.add(user);
  else users.delete(user);
  const reactions = new Map(before);
  if (users.size) reactions.set(emoji, users);
  else reactions.delete(emoji);
  return reactions;
}

type KeptMessage = [number, number, number, string, number, number[], boolean, KeptAttachment[]];
export type KeptAttachment = [number, Raw, string, number, number, number, Raw, string];

export function plainOf(one: Attachment): Packed[] {
  return [one.id, one.hash, one.media_type, one.size, one.width, one.height, one.placeholder, one.name];
}

export function attachmentOf([id, hash, media_type, size, width, height, placeholder, name]: KeptAttachment): Attachment {
  return { id, hash, media_type, size, width, height, placeholder, name };
}

/** The stream that a chat operation is about; 0: it is about none. */
export function roomOf(operation: Operation): number {
  return ["Say", "Post", "Edit", "Delete", "React"].includes(operation.type) ? (operation as { stream: number }).stream : 0;
}

/** A chat operation that was kept, with its stream; null for others. */
export function readChat(raw: Raw): Operation | null {
  return isChat(raw) ? decodeOperation(raw) : null;
}
