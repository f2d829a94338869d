import assert from "node:assert/strict";
import { test } from "node:test";
import { DiskFull } from "../src/errors";
import { MemoryDisk } from "../src/memory_store";
import { SqliteDisk } from "../src/sqlite_store";
import type { Disk } from "../src/store";
import { openPhone } from "./sqlite";

const ROWS_MAX = 12;

/** Each way to keep rows, and how what was written is opened again. */
const DISKS: Readonly<Record<string, () => Promise<() => Promise<Disk>>>> = {
  memory: async () => {
    const disk = new MemoryDisk();
    return async () => disk;
  },
  sqlite: async () => {
    const phone = await openPhone();
    return () => SqliteDisk.open(phone);
  },
};

/** Numbers that are the same in every run. */
function draws(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

for (const [name, make] of Object.entries(DISKS)) {
  for (const seed of [1, 2, 3]) {
    test(`${name}: whatever is written and deleted is there when it is opened again (${seed})`, async () => {
      const open = await make();
      const draw = draws(seed);
      const model = new Map<string, Uint8Array>();
      for (let turn = 0; turn < 40; turn++) {
        const disk = await open();
        const rows = new Map<string, Uint8Array | null>();
        for (let n = draw(6); n >= 0; n--) {
          // Names as the store has them, and such as SQL could stumble over.
          const key = ["m/", "r'", 's"', "ü/", "%"][draw(5)]! + draw(ROWS_MAX);
          const row = draw(4) ? Uint8Array.from({ length: draw(300) }, () => draw(256)) : null;
          rows.set(key, row);
          if (row) model.set(key, row);
          else model.delete(key);
        }
        await disk.write(rows);
        disk.close();
        const found = await (await open()).load();
        assert.deepEqual(new Map([...found].sort()), new Map([...model].sort()));
      }
    });
  }
}

test("sqlite: what does not fit is refused whole and by name, and what was there stays", async () => {
  const phone = await openPhone();
  const disk = await SqliteDisk.open(phone);
  await disk.write(new Map([["kept", Uint8Array.of(1, 2, 3)]]));
  phone.limit(8);
  const tooMuch = new Map<string, Uint8Array | null>([["kept", null], ["small", Uint8Array.of(4)], ["large", new Uint8Array(200_000)]]);
  await assert.rejects(disk.write(tooMuch), DiskFull);
  assert.deepEqual([...(await disk.load())], [["kept", Uint8Array.of(1, 2, 3)]]);
  await disk.write(new Map([["small", Uint8Array.of(4)]]));
  assert.equal((await disk.load()).size, 2);
});
