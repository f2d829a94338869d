import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as Y from "yjs";
import { createDocument, documentVersions, loadVersion, nameVersion, openDocument, restoreVersion, type Document, type DocumentView, type Hands } from "../src/documents";
import { Person, until } from "./people";

/** An editor without a screen: one text, in Yjs. */
class Editor implements Hands {
  doc = new Y.Doc();
  readonly document: Document;

  constructor(person: Person, stream: number) {
    this.document = openDocument(person.client, stream, this);
  }

  begin(pen: number): void {
    this.doc = new Y.Doc();
    this.doc.clientID = pen;
    this.doc.on("update", (update: Uint8Array, origin: unknown) => origin === this || this.document.write(update));
  }

  apply(updates: readonly Uint8Array[]): number {
    for (const update of updates) Y.applyUpdate(this.doc, update, this);
    return 0;
  }

  read(updates: readonly Uint8Array[]): string {
    const doc = new Y.Doc();
    for (const update of updates) Y.applyUpdate(doc, update);
    return doc.getText("text").toString();
  }

  merge = (updates: readonly Uint8Array[]) => Y.mergeUpdates([...updates]);
  state = () => Y.encodeStateAsUpdate(this.doc);

  get text(): string {
    return this.doc.getText("text").toString();
  }

  type(at: number, words: string): void {
    for (const [place, letter] of [...words].entries()) this.doc.getText("text").insert(at + place, letter);
  }

  reads(wanted: string | ((view: DocumentView) => boolean)): Promise<DocumentView> {
    return until(this.document, (view) => (typeof wanted === "string" ? this.text === wanted : wanted(view)), `${String(wanted)}, reads ${this.text}`);
  }
}

let amina: Person;
let ben: Person;
let community = 0;

before(async () => {
  [amina, ben] = await Promise.all([Person.signUp(), Person.signUp()]);
  community = await amina.client.submit({ type: "CreateCommunity", name: "Seven springs" });
  await ben.client.submit({ type: "Join", space: community });
});

after(async () => {
  await Promise.all([amina.client.close(), ben.client.close()]);
});

async function pair(): Promise<[number, Editor, Editor]> {
  const stream = await createDocument(amina.client, community, "Notes");
  const [hers, his] = [new Editor(amina, stream), new Editor(ben, stream)];
  await Promise.all([hers, his].map((one) => one.reads(({ caughtUp }) => caughtUp)));
  return [stream, hers, his];
}

test("what two write is both's, letter by letter, and each knows where the other is", async () => {
  const [, hers, his] = await pair();
  hers.type(0, "Hello ");
  await his.reads("Hello ");
  his.type(6, "world");
  hers.type(0, "> ");
  await Promise.all([hers, his].map((one) => one.reads("> Hello world")));
  await hers.document.settled();
  assert.equal(hers.document.value.unsent, 0);
  hers.document.sayWhere(new Uint8Array([1, 2, 3]));
  const me = amina.client.me.value!.user;
  await his.reads(({ people }) => people.get(me)?.[2] === 3);
  hers.document.close();
  await his.reads(({ people }) => !people.has(me));
  his.document.close();
});

test("what is written without a network is few updates, survives a restart, and is everybody's once", async () => {
  const [stream, hers, his] = await pair();
  his.type(0, "before ");
  await hers.reads("before ");
  ben.offline = true;
  ben.cut();
  await until(ben.client.status, ({ state }) => state !== "online", "offline");
  const words = "under a tree ".repeat(20);
  his.type(7, words);
  hers.type(0, "meanwhile ");
  await his.document.flush();
  assert.ok(his.document.value.unsent > 0 && his.document.value.unsent < 12, `${his.document.value.unsent} updates`);
  his.document.close();
  await ben.restart();
  let again = new Editor(ben, stream);
  await again.reads(`before ${words}`);
  again.type(7, "still ");
  await again.document.flush();
  again.document.close();
  await ben.restart();
  again = new Editor(ben, stream);
  await again.reads(`before still ${words}`);
  ben.offline = false;
  ben.client.hurry();
  await Promise.all([hers, again].map((one) => one.reads(`meanwhile before still ${words}`)));
  await again.document.settled();
  const { pending, failed } = ben.client.status.value;
  assert.deepEqual([pending, failed, ben.client.failures.value.length], [0, 0, 0]);
  for (const one of [hers, again]) one.document.close();
});

test("a version is named, looked at and restored, and what was written meanwhile is left behind as a text", async () => {
  const [stream, hers, his] = await pair();
  hers.type(0, "draft");
  await his.reads("draft");
  await hers.document.settled();
  const version = await nameVersion(amina.client, stream, hers.document.value.head, "first");
  const updates = await loadVersion(amina.client, stream, version);
  assert.equal(hers.read(updates), "draft");
  assert.deepEqual((await documentVersions(amina.client, stream)).map(({ name }) => name), ["first"]);
  hers.type(5, " two");
  await his.reads("draft two");
  ben.offline = true;
  ben.cut();
  await until(ben.client.status, ({ state }) => state !== "online", "offline");
  his.type(9, " and three");
  await his.document.flush();
  await restoreVersion(amina.client, stream, version);
  await hers.reads("draft");
  ben.offline = false;
  ben.client.hurry();
  await his.reads("draft");
  const { leftBehind } = await his.reads((view) => view.leftBehind.length > 0);
  assert.deepEqual(leftBehind, ["draft two and three"]);
  his.type(5, " four");
  await hers.reads("draft four");
  await his.document.settled();
  his.document.dismiss();
  await his.reads((view) => !view.leftBehind.length && !view.unsent);
  assert.equal(ben.client.failures.value.length, 0);
  for (const one of [hers, his]) one.document.close();
});

test("who may not write any more keeps the text of what was not taken", async () => {
  const [stream, hers, his] = await pair();
  hers.type(0, "ours");
  await his.reads("ours");
  ben.offline = true;
  ben.cut();
  await until(ben.client.status, ({ state }) => state !== "online", "offline");
  his.type(4, " and mine");
  await his.document.flush();
  await amina.client.submit({ type: "ChangeDocument", document: stream, title: "Notes", read_roles: 15, write_roles: 1 });
  ben.offline = false;
  ben.client.hurry();
  const { leftBehind, refused } = await his.reads((view) => view.leftBehind.length > 0);
  assert.deepEqual([leftBehind, refused], [["ours and mine"], 16]);
  await his.reads("ours");
  for (const one of [hers, his]) one.document.close();
});
