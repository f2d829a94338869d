/**
 * What is done to a room with whole pages of it, and what seldom happens to one.
 *
 *     History ─▶ Page ─┬─ put in front of what is here          what is held of both is as if all had come in order
 *                      └─ looked at elsewhere ─▶ `mended`       what happens to its messages is told beside
 *
 * As client/fold.py.
 *
 * Invariant: a page put in front plus the events after it equals the whole.
 */
import type { Message } from "./api";
import { decodeBody } from "./codec";
import type { Body, Cleared, Page } from "./protocol";
import { NOBODY, Room } from "./rooms";
import type { Store } from "./store";

/** Messages of pages elsewhere that are held besides, so that they hear what happens to them; of more, the next page's alone. */
const ELSEWHERE_MAX = 2_000;
const TYPING_MS = 6_000;

/** What a page of events alone comes to; it is kept nowhere. */
export function roomOfPage(page: Page, store: Store): Room {
  const first = page.events[0]?.seq ?? 1;
  const room = new Room(store, page.stream, first - 1, page.events.at(-1)?.seq ?? 0, () => undefined);
  for (const { seq, author, at, body } of page.events) room.fold(seq, author, at, decodeBody(body) as Body);
  return room;
}

/** Adds an older page, as the server's log stands now: it ends where this room starts. */
export function putInFront(room: Room, page: Page): void {
  const first = page.events[0];
  if (!first || page.events.at(-1)!.seq !== room.start) return;
  const older = roomOfPage(page, room.store);
  for (const [seq, text] of room.earlyEdits) older.edit(seq, text);
  for (const seq of room.deleted) older.delete(seq);
  // Of thousands that are held, those that the page says something about.
  for (const seq of [...older.messages.keys(), ...older.reactions.keys()]) {
    for (const [emoji, users] of room.reactions.get(seq) ?? NOBODY) for (const user of users) older.react(seq, emoji, user, true);
  }
  for (const seq of older.deleted) room.reactions.delete(seq);
  for (const [seq, reactions] of older.reactions) room.reactions.set(seq, reactions);
  room.start = older.start;
  room.list = undefined;
  room.messages = new Map([...older.messages, ...room.messages]);
  room.deleted = older.deleted;
  room.earlyEdits = older.earlyEdits;
  room.changed();
}

/** Somebody looks at a page elsewhere: what happens to its messages is told as `mended`. */
export function lookAt(room: Room, page: readonly Message[]): void {
  if (room.elsewhere.size > ELSEWHERE_MAX) room.elsewhere.clear();
  for (const one of page) {
    if (!room.mended.has(one.seq)) room.elsewhere.set(one.seq, one);
    // A page has no reactions that came after its last message.
    for (const [emoji, users] of room.reactions.get(one.seq) ?? NOBODY) for (const user of users) room.mendReaction(one.seq, emoji, user, true);
  }
  room.changed();
}

/** What `author` (0: everybody) wrote up to `upto` is gone, and with it whatever was about it. */
export function clear(room: Room, { author, upto }: Cleared): void {
  room.list = undefined;
  const gone = (one: Message) => one.seq <= upto && (author === 0 || author === one.author);
  for (const one of room.messages.values()) if (gone(one)) room.messages.delete(one.seq);
  for (const one of room.elsewhere.values()) if (gone(one)) room.mend(one.seq, { deleted: true });
  for (const seq of room.reactions.keys()) if (seq > room.start && seq <= upto && !room.messages.has(seq)) room.reactions.delete(seq);
  if (author === 0) for (const seq of room.earlyEdits.keys()) if (seq <= upto) room.earlyEdits.delete(seq);
}

/** Somebody types; forgotten after so many milliseconds. */
export function heardTyping(room: Room, user: number, now: number): number {
  room.typists.set(user, now + TYPING_MS);
  room.changed();
  return TYPING_MS;
}
