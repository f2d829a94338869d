import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { StreamKind } from "../src/protocol";
import { Person, until } from "./people";

let amina: Person;
let ben: Person;
let channel = 0;
let community = 0;

before(async () => {
  [amina, ben] = await Promise.all([Person.signUp(), Person.signUp()]);
  community = await amina.client.submit({ type: "CreateCommunity", name: "Seven springs" });
  await ben.client.submit({ type: "Join", space: community });
  const { spaces } = await until(ben.client.places, (places) => places.spaces.some((one) => one.space === community), "joined");
  channel = spaces.find((one) => one.space === community)!.streams.find((one) => one.kind === StreamKind.CHANNEL)!.stream;
});

after(async () => {
  await Promise.all([amina.client.close(), ben.client.close()]);
});

test("two people talk: what is said, edited and reacted to is seen by both", async () => {
  const [hers, his] = [amina.client.follow(channel), ben.client.follow(channel)];
  const seq = await amina.client.say(channel, "good mornign");
  await until(his, ({ messages }) => messages.some((one) => one.seq === seq && one.text === "good mornign"), "heard");
  await amina.client.edit(channel, seq, "good morning");
  await ben.client.react(channel, seq, "👍");
  const seen = await until(hers, ({ messages }) => messages.some((one) => one.seq === seq && one.reactions.get("👍")?.size === 1), "reacted");
  assert.equal(seen.messages.find((one) => one.seq === seq)!.text, "good morning");
  assert.ok(seen.messages.find((one) => one.seq === seq)!.edited);
  hers.close();
  his.close();
});

test("what is said without a network is shown at once, survives a restart, and is said once", async () => {
  ben.offline = true;
  ben.cut();
  await until(ben.client.status, ({ state }) => state !== "online", "offline");
  const texts = ["one", "two", "three"];
  for (const text of texts) ben.client.say(channel, text).catch(() => undefined);
  const his = ben.client.follow(channel);
  await until(his, ({ messages }) => messages.filter((one) => one.state === "waiting").length === 3, "shown at once");
  await ben.restart();
  const again = ben.client.follow(channel);
  await until(again, ({ messages }) => messages.filter((one) => one.state === "waiting").length === 3, "kept");
  ben.offline = false;
  ben.client.hurry();
  await ben.client.synced();
  const hers = amina.client.follow(channel);
  const { messages } = await until(hers, (one) => one.messages.some(({ text }) => text === "three"), "heard");
  assert.deepEqual(messages.filter((one) => texts.includes(one.text)).map((one) => one.text), texts);
  const mine = await until(again, (one) => one.messages.filter(({ text }) => texts.includes(text)).every(({ state }) => state === "sent"), "sent");
  assert.equal(mine.messages.filter(({ text }) => texts.includes(text)).length, 3);
  hers.close();
  again.close();
});

test("a socket that breaks again and again loses nothing, and the session goes on by its ticket", async () => {
  const hers = amina.client.follow(channel);
  for (let n = 0; n < 3; n++) {
    const said = ben.client.say(channel, `broken ${n}`);
    ben.cut();
    ben.client.hurry();
    await said;
  }
  const { messages } = await until(hers, (one) => one.messages.some(({ text }) => text === "broken 2"), "heard");
  assert.equal(messages.filter(({ text }) => text.startsWith("broken")).length, 3);
  hers.close();
});

test("what is said as soon as the answer before it came does not wait for a heartbeat", { timeout: 30_000 }, async () => {
  for (let n = 0; n < 100; n++) await ben.client.say(channel, `at once ${n}`);
  assert.equal(ben.client.status.value.pending, 0);
});

test("an older page is put in front", async () => {
  for (let n = 0; n < 70; n++) void amina.client.say(channel, `many ${n}`);
  await amina.client.synced();
  const carol = await Person.signUp();
  await carol.client.submit({ type: "Join", space: community });
  await until(carol.client.places, (places) => places.spaces.some((one) => one.space === community), "joined");
  const hers = carol.client.follow(channel);
  const newest = await until(hers, (one) => one.caughtUp && one.messages.some(({ text }) => text === "many 69"), "newest");
  assert.ok(newest.start > 0);
  while (await hers.older(40));
  const whole = await until(hers, ({ start }) => start === 0, "whole");
  assert.ok(whole.messages.some(({ text }) => text === "good morning"));
  await carol.client.close();
});

test("records are written offline, and another device of the same person has them", async () => {
  const { spaces } = amina.client.places.value;
  const own = spaces.flatMap((one) => one.streams).find((one) => one.kind === StreamKind.OWN)!.stream;
  amina.offline = true;
  amina.cut();
  await until(amina.client.status, ({ state }) => state !== "online", "offline");
  const about = amina.client.record(own, 3, 1);
  void amina.client.change(own, 3, 1, new Map([[1, "I like rivers"]])).catch(() => undefined);
  await until(about, ({ fields }) => fields.get(1) === "I like rivers", "seen at once");
  amina.offline = false;
  amina.client.hurry();
  await amina.client.synced();
  const other = new Person();
  await other.start();
  await other.client.logIn(amina.name, "a long enough word");
  await other.client.synced();
  await until(other.client.record(own, 3, 1), ({ fields, pending }) => fields.get(1) === "I like rivers" && !pending, "there");
  await other.client.close();
});

test("what will never be is said so, and can be put away", async () => {
  await assert.rejects(ben.client.edit(channel, 1, "not mine"), (error: { code?: number }) => (error.code ?? 0) > 0);
  const [failure] = await until(ben.client.failures, (failures) => failures.length === 1, "listed");
  await ben.client.discard(failure!.key);
  await until(ben.client.failures, (failures) => failures.length === 0, "put away");
});

test("where sockets are blocked, the same goes over HTTP by itself", async () => {
  const dora = await Person.signUp(true);
  await dora.client.submit({ type: "Join", space: community });
  await until(dora.client.places, (places) => places.spaces.some((one) => one.space === community), "joined");
  const hers = dora.client.follow(channel);
  await amina.client.say(channel, "can you hear me?");
  await until(hers, ({ messages }) => messages.some(({ text }) => text === "can you hear me?"), "heard");
  await dora.client.say(channel, "through the wall");
  const his = ben.client.follow(channel);
  await until(his, ({ messages }) => messages.some(({ text }) => text === "through the wall"), "answered");
  assert.ok(dora.requests > 4);
  his.close();
  await dora.client.close();
});
