import assert from "node:assert/strict";
import { test } from "node:test";
import { fieldsOf, grade, isRight, NEW_CARD, normalise, readings, review } from "../src/learning";
import type { RecordView } from "../src/api";
import { inOrder, nextLessons, Standing, type Checkpoint, type Lesson } from "../src/curriculum";
import { Entity, Study } from "../src/study";
import { vectors } from "./vectors";

const VECTORS = vectors("learning");

test("texts are compared as every client compares them", () => {
  for (const [text, plain, exact] of VECTORS.normalise) {
    assert.equal(normalise(text), plain, text);
    assert.equal(normalise(text, true), exact, text);
    assert.equal(normalise(plain), plain, text);
  }
  for (const [text, numbers] of VECTORS.numbers) {
    assert.deepEqual(readings(text).map(({ digits, places }) => [Number(digits), places]), numbers, text);
  }
  for (const [written, accepted, right] of VECTORS.words) assert.equal(isRight(written, accepted), right, `${written} for ${accepted}`);
});

test("answers are worth what they are worth anywhere", () => {
  for (const { name, question, answer, graded } of VECTORS.grade) {
    const { form, options = 0, key = [], words = [], gaps = 1 } = question;
    const asked = { form, options: Array.from({ length: options }, (_, n) => `option ${n}`), key, words, gaps };
    const made = grade(asked, answer.choices ?? [], answer.text ?? "");
    assert.deepEqual(made && [made.points, made.words], graded, name);
    assert.equal(made?.right ?? false, graded?.[0] === 100, name);
  }
});

test("a question comes again when every client says so", () => {
  for (const { name, reviews, cards } of VECTORS.reviews) {
    let card = NEW_CARD;
    reviews.forEach(([now, rating]: [number, number], place: number) => {
      card = review(card, rating, now);
      assert.deepEqual([...fieldsOf(card, 0).values()].slice(1), cards[place], `${name}, ${place}`);
    });
  }
});

test("lessons stand in order, and what comes next is what comes next anywhere", () => {
  for (const { name, lessons, progress = [], checkpoints = [], paths = [], courses = [], level = 0, order, next } of VECTORS.next) {
    const known = new Map<number, Lesson>(
      lessons.map(([key, course, place, level, requires, state]: [number, number, number, number, number[], number]) => [key, { key, course, order: place, level, requires, state }]),
    );
    const stands = new Map<number, Checkpoint>(checkpoints.map(([lesson, asked, graded, points]: number[]) => [lesson, { asked, graded, points }]));
    assert.deepEqual(inOrder(known), order, name);
    const steps = nextLessons(known, new Standing(known, new Map(progress), stands), { paths: new Map(paths), courses: new Set(courses), level });
    assert.deepEqual(steps.map(({ lesson, why }) => [lesson, why]), next, name);
  }
});

const NOW = 1_800_000_000;

/** A learner with one lesson of two questions; `more`: further records, each as entity, key, fields, version (1) and how many changes of it
 *  are on their way (0). */
function study(...more: [number, number, [number, unknown][], number?, number?][]): Study {
  const given: typeof more = [
    [Entity.LESSON, 11, [[1, "Wells"], [8, 1]]],
    [Entity.QUESTION, 71, [[1, 11], [2, 0], [3, "Who digs?"], [4, ["hands", "birds"]], [5, [0]]]],
    [Entity.QUESTION, 72, [[1, 11], [2, 4], [3, "How deep?"], [9, 1], [10, true]]],
    ...more,
  ];
  const views = given.map(([entity, key, fields, version = 1, pending = 0]) => ({ stream: 1, entity, key, version, fields: new Map(fields), gone: false, pending }) as RecordView);
  return new Study((entity) => views.filter((one) => one.entity === entity), NOW);
}

test("a grade that is shown is the server's for this answer, or says that it is not", () => {
  const right = [[1, 100], [3, 2], [4, "right"], [5, 4]] as [number, unknown][];
  const answered = (version: number, pending: number) => study([Entity.ANSWER, 71, [[2, [1]]], version, pending], [Entity.GRADE, 71, right]).grades.get(71);
  assert.deepEqual(answered(4, 0), { question: 71, attempts: 2, pending: false, graded: { points: 100, right: true, words: "right" }, byServer: true });
  assert.deepEqual(answered(4, 1)?.graded, { points: 0, right: false, words: "wrong" });
  assert.equal(answered(5, 0)?.byServer, false);
  const exam = study([Entity.ANSWER, 72, [[3, "9"]], 1, 1]).grades.get(72);
  assert.deepEqual([exam?.graded, exam?.pending, exam?.byServer], [null, true, false]);
});

test("a question that was not all right comes again, and trying once more at once is no second review", () => {
  const first = study().take(71, { choices: [1], seconds: 3.7 }, NOW);
  assert.deepEqual(first.writings.map(({ entity }) => entity), [Entity.ANSWER, Entity.CARD]);
  assert.deepEqual([...first.writings[0]!.fields], [[2, [1]], [3, ""], [4, 3], [5, 1]]);
  assert.equal(first.card?.due, NOW + 600);
  const card: [number, number, [number, unknown][]] = [Entity.CARD, 71, [...first.writings[1]!.fields]];
  const kept = study(card);
  assert.deepEqual([kept.due().length, kept.due(NOW + 600).map(({ question }) => question)], [0, [71]]);
  for (const choices of [[0], [1]]) assert.equal(kept.take(71, { choices }, NOW + 60).writings.length, 1);
  assert.deepEqual(kept.take(71, { choices: [0] }, NOW + 700).writings.map(({ entity }) => entity), [Entity.ANSWER, Entity.CARD]);
  assert.equal(study().take(71, { choices: [0] }, NOW).writings.length, 1);
  assert.deepEqual([study().take(72, { text: "6" }, NOW).graded, study().take(72, { text: "6" }, NOW).card], [null, null]);
});

test("what was wrong is wrong whoever says how well it was known, and what was right is not", () => {
  const said = (choices: number[], rating?: number) => study().review(71, { choices }, NOW, rating).writings[0]!.fields.get(5);
  assert.deepEqual([said([1], 4), said([0]), said([0], 1), said([0], 4)], [1, 3, 2, 4]);
  assert.throws(() => study().review(72, { text: "6" }, NOW), /how well it was known/);
});

test("a lesson is done, begun, to be repeated, or waits for what comes before it", () => {
  const later: [number, number, [number, unknown][]] = [Entity.LESSON, 12, [[1, "Springs"], [7, [11]], [8, 1]]];
  const lines = (...more: Parameters<typeof study>) => study(later, ...more).outline(0).map(({ lesson, standing, waitsFor }) => [lesson, standing, ...waitsFor]);
  assert.deepEqual(lines(), [[11, "open"], [12, "closed", 11]]);
  assert.deepEqual(lines([Entity.PROGRESS, 11, [[1, 40]]]), [[11, "begun"], [12, "closed", 11]]);
  assert.deepEqual(lines([Entity.PROGRESS, 11, [[1, 100]]]), [[11, "done"], [12, "open"]]);
  const failed = lines([Entity.PROGRESS, 11, [[1, 100]]], [Entity.ANSWER, 71, [[2, [1]]]], [Entity.ANSWER, 72, [[3, "9"]]], [Entity.GRADE, 72, [[1, 0], [4, "wrong"], [5, 1]]]);
  assert.deepEqual(failed, [[11, "failed"], [12, "closed", 11]]);
});
