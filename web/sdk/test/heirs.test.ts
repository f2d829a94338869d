import assert from "node:assert/strict";
import { test } from "node:test";
import { blake2b } from "../src/blake2b";
import { decodeFrame, encode } from "../src/codec";
import { Unreachable } from "../src/errors";
import { digestOf, inherit } from "../src/heirs";
import { MemoryDisk } from "../src/memory_store";
import { unpack } from "../src/msgpack";
import { Mutations } from "../src/mutations";
import { Code, type Frame, type Operation, type Settlement, type Welcome } from "../src/protocol";
import { bringRest } from "../src/rarely";
import { Store } from "../src/store";

const T = 1_800_000_000;
const WELCOME = { type: "Welcome", epoch: 3, last_number: 0 } as Welcome;
const say = (text: string): Operation => ({ type: "Say", stream: 9, text });

test("digests are BLAKE2b's, as Python computes them", () => {
  const hex = [...blake2b(new TextEncoder().encode("abc"), 64)].map((one) => one.toString(16).padStart(2, "0")).join("");
  assert.equal(hex, "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d17d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923");
  for (const [length, digest] of [[0, -1970711489451281740n], [1, 65369308820478381n], [127, 2750128521298425804n], [128, 6416229342842306004n], [129, 4770572944955696007n], [300, 504240828217486519n]] as const) {
    assert.equal(digestOf(Uint8Array.from({ length }, (_, n) => (n * 7 + length) % 256)), digest, String(length));
  }
});

/** A store that sent these as device 7 and goes on as device 8; what else was written was never sent. */
async function copied(sent: readonly string[], unsent: readonly string[]): Promise<{ store: Store; mutations: Mutations; disk: MemoryDisk }> {
  await bringRest();
  const disk = new MemoryDisk();
  const store = await Store.open(disk);
  store.bind(7);
  store.number(sent.map((text, place) => [store.append(encode(say(text)), `n${place}`), place + 1] as const));
  for (const text of unsent) store.append(encode(say(text)), "");
  store.bind(8);
  await store.durable();
  const mutations = new Mutations(store, () => T * 1000, () => 0.5, () => undefined, () => undefined);
  return { store, mutations, disk };
}

/** A server that knows these outcomes of device 7. */
function door(settled: readonly Settlement[], asked: unknown[] = []): { round(epoch: number, frames: readonly Uint8Array[]): Promise<[Welcome, Frame[]]> } {
  return {
    round: async (epoch, [raw]) => {
      const [tag, , device, sent] = unpack(raw!) as unknown as [number, number, number, [number, number | bigint][]];
      asked.push([epoch, tag, device, sent.map(([number]) => number)]);
      return [WELCOME, [{ type: "Inherited", id: 1, settled: settled.filter(({ number }) => sent.some(([one]) => one === number)) }]];
    },
  };
}

test("what had its effect as the device before is settled, what had none is numbered anew, what was never sent goes on behind it", async () => {
  const { store, mutations } = await copied(["had its effect", "was refused", "never arrived", "too long ago"], ["never sent"]);
  const told: unknown[] = [];
  mutations.decided = (key, _, code, value) => told.push([key, code, value]);
  const asked: unknown[] = [];
  const outcome = (number: number, code: Code, value = 0, detail = "") => ({ number, code, value, detail });
  await inherit(store, mutations, door([outcome(1, Code.OK, 40), outcome(2, Code.FORBIDDEN, 0, "no"), outcome(4, Code.TOO_OLD)], asked));
  assert.deepEqual(asked, [[0, 20, 7, [1, 2, 3, 4]]]);
  assert.deepEqual(told, [[1, 0, 40], [2, Code.FORBIDDEN, 0], [4, Code.TOO_OLD, 0]]);
  assert.deepEqual([...store.settled.values()].map(({ key, number, echo }) => [key, number, echo]), [[1, 0, 40]]);
  assert.deepEqual(store.unapplied().map(({ key, detail }) => [key, detail]), [[2, "no"], [4, "sent as another device; look whether it is there"]]);
  assert.deepEqual([...store.mutations.values()].map(({ key, number }) => [key, number]), [[3, 0], [5, 0]]);
  mutations.welcome(0, 256);
  assert.equal(mutations.take(8_000, 64).length, 2);
  assert.deepEqual([...store.mutations.values()].map(({ number }) => number), [1, 2]);
  assert.equal(store.noted("heir"), undefined);
});

test("until it is answered the store says whose numbers its mutations have, and all of it is asked again, also as a third device", async () => {
  const { store, mutations, disk } = await copied(["sent"], []);
  const away = { round: () => Promise.reject(new Unreachable("no network")) };
  await assert.rejects(inherit(store, mutations, away), Unreachable);
  const again = await Store.open(disk);
  again.bind(9);
  assert.equal(again.noted("heir"), 7);
  assert.deepEqual([...again.mutations.values()].map(({ number }) => number), [1]);
  const asked: unknown[] = [];
  await inherit(again, new Mutations(again, () => T * 1000, () => 0.5, () => undefined, () => undefined), door([], asked));
  assert.deepEqual(asked, [[0, 20, 7, [1]]]);
});

test("a store that sent nothing inherits nothing", async () => {
  const { store } = await copied([], ["never sent"]);
  assert.equal(store.noted("heir"), undefined);
});

test("of a device that is not one's own nothing is asked for again", async () => {
  const { store, mutations } = await copied(["sent"], []);
  const answer = decodeFrame(encode({ type: "Failed", id: 1, code: Code.NOT_FOUND, detail: "", wait_ms: 0, stream: 0 })) as Frame;
  await inherit(store, mutations, { round: async () => [WELCOME, [answer]] });
  assert.deepEqual(store.unapplied().map(({ code }) => code), [Code.NOT_FOUND]);
});

test("more than one question holds is asked in several", async () => {
  const texts = Array.from({ length: 300 }, (_, n) => `text ${n}`);
  const { store, mutations } = await copied(texts, []);
  const asked: [number, number, number, number[]][] = [];
  await inherit(store, mutations, door(texts.map((_, n) => ({ number: n + 1, code: Code.OK, value: n + 1, detail: "" })), asked));
  assert.deepEqual(asked.map(([, , , numbers]) => numbers.length), [256, 44]);
  assert.equal(store.mutations.size, 0);
});
