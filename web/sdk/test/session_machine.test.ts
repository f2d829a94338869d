import assert from "node:assert/strict";
import { test } from "node:test";
import { bringRest } from "../src/rarely";
import { IllegalInput, NEW, backoffMs, isLegal, step } from "../src/session_machine";
import { reconnectRule } from "../src/session_rules";
import { vectors } from "./vectors";

const VECTORS = vectors("session");

// This one first: the rest has not come.
test("the way in is known at once, and the rest is not taken for a fault before it has come", async () => {
  assert.ok(isLegal({ ...NEW, state: "greeting" }, { type: "Welcome", epoch: 1, last_number: 0 }));
  assert.ok(!isLegal({ ...NEW, state: "online" }, { type: "Draining", delay_ms: 1 }));
  await bringRest();
  assert.ok(isLegal({ ...NEW, state: "online" }, { type: "Draining", delay_ms: 1 }));
});

test("every step of the session machine is that of every other client", () => {
  assert.ok(VECTORS.steps.length > 500);
  for (const { session, input, spread, after, actions, illegal } of VECTORS.steps) {
    const words = JSON.stringify({ session, input, spread });
    if (illegal) {
      assert.throws(
        () => step({ ...NEW, ...session }, input, spread),
        (error: unknown) => error instanceof IllegalInput && (assert.deepEqual(error.legal, illegal, words), true),
      );
      continue;
    }
    const made = step({ ...NEW, ...session }, input, spread);
    assert.deepEqual(made.session, { ...NEW, ...after }, words);
    assert.deepEqual(made.actions, actions, words);
  }
});

test("waits and rules are those of the table", () => {
  for (const [failures, spread, ms] of VECTORS.backoff) assert.equal(backoffMs(failures, spread), ms);
  for (const [code, rule] of VECTORS.reconnect) assert.equal(reconnectRule(code), rule);
});
