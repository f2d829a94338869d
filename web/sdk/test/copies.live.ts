import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { encode } from "../src/codec";
import { MemoryDisk } from "../src/memory_store";
import { StreamKind } from "../src/protocol";
import { Store } from "../src/store";
import { Person, until } from "./people";

let amina: Person;
let ben: Person;
let channel = 0;

before(async () => {
  [amina, ben] = await Promise.all([Person.signUp(), Person.signUp()]);
  const community = await amina.client.submit({ type: "CreateCommunity", name: "Seven springs" });
  await ben.client.submit({ type: "Join", space: community });
  const { spaces } = await until(ben.client.places, (places) => places.spaces.some((one) => one.space === community), "joined");
  channel = spaces.find((one) => one.space === community)!.streams.find((one) => one.kind === StreamKind.CHANNEL)!.stream;
});

after(async () => {
  await Promise.all([amina.client.close(), ben.client.close()]);
});

/** What is on the disk of somebody whose client is closed, changed as `act` says. */
async function change(disk: MemoryDisk, act: (store: Store) => void): Promise<void> {
  const store = await Store.open(disk);
  act(store);
  await store.close();
}

test("a device that was restored from a backup goes on as another one: what it had sent is said once, what it had not is said", { timeout: 60_000 }, async () => {
  await ben.client.say(channel, "before the backup");
  await ben.client.close();
  const original = new Person();
  for (const [name, row] of ben.disk.rows) original.disk.rows.set(name, row);
  // In the backup: the first was sent, and its answer had not come; the second had its number, and had not left; the third had none.
  const given = { sent: "sent, and never heard of again", numbered: "numbered, and not sent", unsent: "never numbered" };
  await change(ben.disk, (store) => {
    const keys = Object.values(given).map((text) => store.append(encode({ type: "Say", stream: channel, text }), ""));
    store.number([[keys[0]!, store.lastNumber + 1], [keys[1]!, store.lastNumber + 2]]);
  });
  // What the device did after the backup: the first arrived, and another one under the number of the second.
  await original.start();
  await original.client.say(channel, given.sent);
  await original.client.say(channel, "said after the backup");
  await original.client.say(channel, "and this");
  const device = original.client.me.value!.device;
  await original.client.close();
  await ben.start();
  await ben.client.synced();
  assert.notEqual(ben.client.me.value!.device, device, "the copy is a device of its own");
  const hers = amina.client.follow(channel);
  const { messages } = await until(hers, (one) => one.messages.some(({ text }) => text === given.unsent), "heard");
  const texts = messages.map(({ text }) => text);
  assert.deepEqual(texts, ["before the backup", given.sent, "said after the backup", "and this", given.numbered, given.unsent]);
  assert.equal(ben.client.status.value.failed, 0);
  // Nothing of the one before was taken from it: who goes on with it goes on.
  await original.start();
  await original.client.say(channel, "the original goes on");
  await until(hers, (one) => one.messages.filter(({ text }) => text === "the original goes on").length === 1, "the original goes on");
  hers.close();
  await original.client.close();
});
