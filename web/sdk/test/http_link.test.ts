import assert from "node:assert/strict";
import { test } from "node:test";
import { parts } from "../src/http_link";

test("parts of a body are read in order, with numbers and lengths of any size", () => {
  const long = new Uint8Array(300).fill(7);
  const body = Uint8Array.from([1, 2, 97, 98, 0, 0, 0xac, 2, 0xac, 2, ...long]);
  const read = parts(body).map(({ number, payload }) => [number, payload.length]);
  assert.deepEqual(read, [[1, 2], [0, 0], [300, 300]]);
});

test("a body that ends in the middle of a part is no answer", () => {
  for (const bytes of [[1], [1, 5, 97], [0x80], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0]]) {
    assert.throws(() => parts(Uint8Array.from(bytes)), String(bytes));
  }
});
