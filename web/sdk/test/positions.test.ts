import assert from "node:assert/strict";
import { test } from "node:test";
import { Positions } from "../src/positions";

const at = (seq: number) => {
  const positions = new Positions(new Map([[9, seq]]));
  positions.want(9);
  assert.equal(positions.asked(9, 1), seq);
  return positions;
};

test("a gap in what comes live is asked for from the cursor, and what came too early is not taken", () => {
  const positions = at(4);
  assert.equal(positions.followed(9, 1, 4, true), "live");
  assert.equal(positions.judge(9, 6), "ask");
  assert.equal(positions.judge(9, 7), "drop");
  assert.deepEqual(positions.unasked(), [9]);
  assert.equal(positions.asked(9, 2), 4);
});

test("the next page is asked for ahead, while the one before it is on its way", () => {
  const positions = at(0);
  assert.equal(positions.followed(9, 1, 50, false), "ask");
  assert.equal(positions.asked(9, 2), 50);
  assert.equal(positions.judge(9, 1), "apply");
});

test("an answer that tears is asked for again from what was applied", () => {
  const positions = at(0);
  assert.equal(positions.judge(9, 3), "drop");
  assert.equal(positions.followed(9, 1, 5, false), "ask");
  assert.equal(positions.asked(9, 2), 0);
});

test("answers to older questions are passed over, and a server that promises without end is not believed", () => {
  const positions = at(0);
  assert.equal(positions.followed(9, 7, 5, true), "nothing");
  let id = 1;
  let heard = "";
  for (let n = 0; n < 20 && heard !== "stalled"; n++) {
    heard = positions.followed(9, id, 5, true);
    positions.asked(9, ++id);
  }
  assert.equal(heard, "stalled");
});

test("what is most urgent comes first, and no more cursors than the protocol takes", () => {
  const positions = new Positions(new Map());
  for (let stream = 1; stream <= 300; stream++) positions.want(stream);
  positions.priorities.set(300, 0);
  const cursors = positions.hello();
  assert.equal(cursors.length, 256);
  assert.equal(cursors[0]!.stream, 300);
  assert.equal(positions.unasked().length, 44);
});
