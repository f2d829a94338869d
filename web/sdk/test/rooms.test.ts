import assert from "node:assert/strict";
import { test } from "node:test";
import { encode } from "../src/codec";
import { MemoryDisk } from "../src/memory_store";
import { heardTyping, lookAt, putInFront } from "../src/pages";
import type { Body, Event, Page } from "../src/protocol";
import { bringRest } from "../src/rarely";
import { PLAIN, Room } from "../src/rooms";
import { Store } from "../src/store";

await bringRest();
const STREAM = 7;
const ME = 1;

async function room(): Promise<{ room: Room; hear: (author: number, body: Body) => void }> {
  const made = Room.restore(await Store.open(new MemoryDisk()), STREAM, 0, () => undefined);
  let seq = 0;
  return { room: made, hear: (author, body) => made.take({ type: "Event", stream: STREAM, seq: ++seq, author, at: seq, body } as Event) };
}

test("what happens to one message leaves the others the same objects, and typing leaves the list the same", async () => {
  const { room: talk, hear } = await room();
  for (let n = 0; n < 50; n++) hear(2, { type: "Said", text: `message ${n}` });
  const before = talk.view(ME, 0).messages;
  heardTyping(talk, 3, 0);
  assert.equal(talk.view(ME, 0).messages, before);
  hear(3, { type: "Reacted", target: 10, emoji: "👍", on: true });
  hear(2, { type: "Edited", target: 20, text: "mended" });
  const after = talk.view(ME, 0).messages;
  assert.deepEqual(after.flatMap((one, place) => (one === before[place] ? [] : one.seq)), [10, 20]);
  assert.ok(after[9]!.reactions.get("👍")!.has(3) && !before[9]!.reactions.size);
  hear(3, { type: "Reacted", target: 10, emoji: "👍", on: false });
  assert.equal(talk.view(ME, 0).messages[9]!.reactions.size, 0);
});

test("unread are messages of others: no reaction, no edit, nothing of one's own, and what is not here by its events", async () => {
  const { room: talk, hear } = await room();
  hear(2, { type: "Said", text: "one" });
  hear(ME, { type: "Said", text: "mine" });
  hear(2, { type: "Reacted", target: 2, emoji: "👍", on: true });
  hear(2, { type: "Edited", target: 1, text: "one, mended" });
  hear(3, { type: "Said", text: "two" });
  assert.equal(talk.unread(0, ME), 2);
  assert.equal(talk.unread(1, ME), 1);
  assert.equal(talk.unread(5, ME), 0);
  talk.beginAfter(20);
  assert.equal(talk.unread(5, ME), 15);
});

test("one's own changes lie over what is confirmed, and are gone with it", async () => {
  const { room: talk, hear } = await room();
  hear(2, { type: "Said", text: "one" });
  talk.put(1, { type: "React", stream: STREAM, target: 1, emoji: "🎉", on: true }, 5);
  assert.ok(talk.view(ME, 0).messages[0]!.reactions.get("🎉")!.has(ME));
  talk.decided(1, 0, "no");
  assert.equal(talk.view(ME, 0).messages[0]!.reactions.size, 0);
});

test("a page elsewhere hears what happens to its messages, by others and by oneself, and of nothing else", async () => {
  const { room: talk, hear } = await room();
  talk.beginAfter(90);
  hear(3, { type: "Reacted", target: 12, emoji: "👍", on: true });
  const page = [11, 12, 13].map((seq) => ({ ...PLAIN, seq, author: seq, at: seq, text: `message ${seq}` }));
  lookAt(talk, page);
  const mended = (seq: number) => talk.view(ME, 0).mended.get(seq);
  assert.deepEqual([...talk.view(ME, 0).mended.keys()], [12]);
  assert.ok(mended(12)!.reactions.get("👍")!.has(3));
  hear(3, { type: "Reacted", target: 12, emoji: "👍", on: false });
  assert.equal(mended(12)!.reactions.size, 0);
  hear(11, { type: "Edited", target: 11, text: "mended" });
  assert.equal(mended(11)!.text, "mended");
  assert.ok(mended(11)!.edited);
  hear(12, { type: "Deleted", target: 12 });
  assert.ok(mended(12)!.deleted);
  talk.put(1, { type: "React", stream: STREAM, target: 13, emoji: "🎉", on: true }, 5);
  assert.ok(mended(13)!.reactions.get("🎉")!.has(ME));
  talk.decided(1, 0, "no");
  assert.equal(mended(13), undefined);
  hear(1, { type: "Cleared", author: 13, upto: 50 });
  assert.ok(mended(13)!.deleted);
  // The same page once more, as it was before: what is known is newer.
  lookAt(talk, page);
  assert.equal(mended(11)!.text, "mended");
  assert.deepEqual(talk.view(ME, 0).messages, []);
});

test("older pages put in front one after the other come to what the whole comes to", async () => {
  let state = 7;
  const chance = (below: number) => (state = (state * 16807) % 2147483647) % below;
  const facts = Array.from({ length: 300 }, (_, n): { author: number; body: Body } => {
    const target = 1 + chance(n + 1);
    const bodies: Body[] = [
      { type: "Said", text: `message ${n + 1}` },
      { type: "Edited", target, text: `mended at ${n + 1}` },
      { type: "Reacted", target, emoji: chance(2) ? "👍" : "🎉", on: true },
      { type: "Deleted", target },
    ];
    return { author: 1 + chance(4), body: bodies[chance(10) < 5 ? 0 : 1 + chance(3)]! };
  });
  const store = await Store.open(new MemoryDisk());
  const shown = (one: Room) => one.view(ME, 0).messages.map(({ seq, text, edited, reactions }) => [seq, text, edited, [...reactions].map(([emoji, users]) => [emoji, [...users].sort()]).sort()]);
  const roomAfter = (after: number) => {
    const made = Room.restore(store, STREAM, after, () => undefined);
    made.open = 1;
    facts.slice(after).forEach(({ author, body }, n) => made.take({ type: "Event", stream: STREAM, seq: after + n + 1, author, at: 1, body } as Event));
    return made;
  };
  const whole = shown(roomAfter(0));
  assert.ok(whole.length > 50);
  const paged = roomAfter(250);
  while (paged.start) {
    const from = Math.max(0, paged.start - 37);
    const events = facts.slice(from, paged.start).map(({ author, body }, n) => ({ seq: from + n + 1, author, at: 1, body: encode(body) }));
    putInFront(paged, { type: "Page", id: 1, stream: STREAM, more: from > 0, events } as unknown as Page);
  }
  assert.deepEqual(shown(paged), whole);
});
