import assert from "node:assert/strict";
import { test } from "node:test";
import { Desk } from "../src/desk";
import { Account, Credentials } from "../src/http_door";
import { MemoryDisk } from "../src/memory_store";
import { Places } from "../src/places";
import { ConflictState, NoticeKind, type Event } from "../src/protocol";
import { Store } from "../src/store";

const INBOX = 2;
const MATHS = 9;

async function desk(): Promise<{ desk: Desk; hear: (body: Event["body"]) => void }> {
  const store = await Store.open(new MemoryDisk());
  const made = new Desk(store, new Places(store, () => undefined), () => undefined);
  let seq = 0;
  return { desk: made, hear: (body) => made.take({ type: "Event", stream: INBOX, seq: ++seq, author: 0, at: 1_800_000_000 + seq, body }) };
}

test("a mention, an invitation and an open conflict are notices, as the server counts them", async () => {
  const { desk: made, hear } = await desk();
  hear({ type: "Mentioned", stream: MATHS, seq: 42, author: 7 });
  hear({ type: "Invited", space: 3, name: "Seven springs", role: 8, by: 7 });
  hear({ type: "ConflictNoted", conflict: 5, stream: 11, entity: 3, key: 1, state: ConflictState.PENDING, by: 7 });
  hear({ type: "ConflictNoted", conflict: 5, stream: 11, entity: 3, key: 1, state: ConflictState.RESOLVED, by: 7 });
  assert.deepEqual(
    made.notices.map(({ seq, kind, actor, space, stream, target, subject, words }) => [seq, kind, actor, space, stream, target, subject, words]),
    [
      [1, NoticeKind.MENTION, 7, 0, MATHS, 42, 0, ""],
      [2, NoticeKind.INVITATION, 7, 3, 0, 0, 0, "Seven springs"],
      [3, NoticeKind.CONFLICT, 7, 0, 11, 0, 5, ""],
    ],
  );
});

test("whoever has read a message has read the notices that point to it, and the inbox up to a number all up to there", async () => {
  const { desk: made, hear } = await desk();
  const unread = () => made.notices.filter(({ read }) => !read).map(({ seq }) => seq);
  hear({ type: "Mentioned", stream: MATHS, seq: 42, author: 7 });
  hear({ type: "Mentioned", stream: MATHS, seq: 50, author: 7 });
  hear({ type: "Noticed", kind: NoticeKind.TRUST, actor: 0, space: 0, stream: 0, seq: 0, subject: 0, words: "news" });
  hear({ type: "ReadUpTo", stream: MATHS, seq: 42 });
  assert.deepEqual(unread(), [2, 3]);
  hear({ type: "Mentioned", stream: MATHS, seq: 41, author: 7 });
  assert.deepEqual(unread(), [2, 3], "it was read before it was told");
  hear({ type: "ReadUpTo", stream: INBOX, seq: 2 });
  assert.deepEqual(unread(), [3]);
  hear({ type: "NoticesRead", notices: [3] });
  assert.deepEqual(unread(), []);
});

test("a wrong code is no token that is over: it is asked once, and nothing is renewed", async () => {
  const asked: string[] = [];
  const fetcher = (async (url: string) => {
    asked.push(new URL(url).pathname);
    return new Response(JSON.stringify({ code: 21, title: "A second factor is needed", detail: "this is not right" }), { status: 401 });
  }) as unknown as typeof fetch;
  const login = { access_token: "a", expires_at: 0, refresh_token: "r", user: 1, device: 1, inbox: 2, name: "ada", display_name: "Ada" };
  const credentials = new Credentials(new Account("http://learn.example", fetcher), login, () => undefined);
  await assert.rejects(credentials.ask("POST", "auth/step-up", { code: "123456" }), { status: 401 });
  assert.deepEqual(asked, ["/api/v1/auth/step-up"]);
});
