import assert from "node:assert/strict";
import { test } from "node:test";
import { fieldsOf, grade, isRight, Learning, NEW_CARD, normalise, readings, review, streamOf } from "../src/learning";
import type { Client, Open, Places, RecordView } from "../src/api";
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

/** A community 20 with library 26, and what a member has of their own: progress 30, answers 31, and everywhere 3. */
const PLACES: Places = {
  spaces: [
    { space: 10, kind: 3, name: "", role: 1, streams: [{ stream: 3, kind: 8, name: "", head: 0, read: 0, unread: 0, mayWrite: true }] },
    { space: 20, kind: 1, name: "Seven springs", role: 8, streams: [{ stream: 26, kind: 12, name: "", head: 0, read: 0, unread: 0, mayWrite: false }] },
    { space: 21, kind: 4, name: "20", role: 1, streams: [30, 31].map((stream) => ({ stream, kind: stream - 21, name: "", head: 0, read: 0, unread: 0, mayWrite: true })) },
    { space: 22, kind: 4, name: "99", role: 1, streams: [{ stream: 40, kind: 9, name: "", head: 0, read: 0, unread: 0, mayWrite: true }] },
  ],
  invitations: [],
  blocked: new Set(),
};

/** A value that a test sets. */
class Held<T> implements Open<T> {
  private readonly listeners = new Set<(value: T) => void>();
  closed = false;

  constructor(public value: T) {}

  set(value: T): void {
    this.value = value;
    for (const listener of [...this.listeners]) listener(value);
  }

  subscribe(listener: (value: T) => void): () => void {
    this.listeners.add(listener);
    listener(this.value);
    return () => void this.listeners.delete(listener);
  }

  close(): void {
    this.closed = true;
  }
}

function device(places: Places) {
  const opened = new Map<string, Held<any>>();
  const open = (name: string, value: unknown) => (opened.has(name) || opened.set(name, new Held(value)), opened.get(name)!);
  const written: unknown[][] = [];
  const client = {
    places: new Held(places),
    records: (stream: number, entity: number) => open(`${stream}/${entity}`, []),
    kept: (stream: number) => open(`kept/${stream}`, { known: false, here: false }),
    change: async (stream: number, entity: number, key: number, fields: ReadonlyMap<number, unknown>) => written.push([stream, entity, key, [...fields]]),
    erase: async (stream: number, entity: number, key: number) => written.push([stream, entity, key]),
    newKey: () => 7,
  };
  return { client: client as typeof client & Client, opened, written };
}

test("a community's learning is in its own streams, and in no other community's", () => {
  assert.deepEqual([Entity.LESSON, Entity.PROGRESS, Entity.ANSWER, Entity.LEARNING].map((entity) => streamOf(PLACES, 20, entity)), [26, 30, 31, 3]);
  assert.deepEqual([streamOf(PLACES, 99, Entity.PROGRESS), streamOf(PLACES, 99, Entity.LESSON), streamOf(PLACES, 5, Entity.PROGRESS)], [40, 0, 0]);
});

test("what changes is told once, what is not here is said not to be, and what is left is closed", async () => {
  const { client, opened, written } = device({ spaces: [], invitations: [], blocked: new Set() });
  const learning = new Learning(client, 20, () => NOW * 1000 + 999);
  let told = 0;
  learning.subscribe(() => told++);
  assert.deepEqual([learning.kept, learning.learns, learning.value.outline(0)], ["none", false, []]);
  await assert.rejects(learning.advance(11, 40), RangeError);

  client.places.set(PLACES);
  assert.deepEqual([learning.kept, learning.learns], ["unknown", true]);
  for (const stream of [3, 26, 30, 31]) opened.get(`kept/${stream}`)!.set({ known: true, here: stream !== 26 });
  assert.equal(learning.kept, "coming");
  opened.get("kept/26")!.set({ known: true, here: true });
  assert.equal(learning.kept, "here");
  const view = (entity: number, key: number, fields: [number, unknown][]) => ({ stream: 1, entity, key, version: 1, fields: new Map(fields), gone: false, pending: 0 });
  opened.get("26/11")!.set([view(11, 11, [[1, "Wells"], [8, 1]])]);
  opened.get("26/13")!.set([view(13, 71, [[1, 11], [2, 0], [4, ["hands", "birds"]], [5, [0]]])]);
  const before = told;
  await Promise.resolve();
  assert.deepEqual([told - before, learning.value.outline(0).map(({ title }) => title), learning.value.now], [1, ["Wells"], NOW]);

  await learning.advance(11, 40);
  await learning.take(71, { choices: [1] }).outcome;
  await learning.enrol(5);
  assert.deepEqual(written.map(([stream, entity, key]) => [stream, entity, key]), [[30, 1, 11], [31, 2, 71], [30, 17, 71], [30, 16, 5]]);
  assert.deepEqual(written[3]![3], [[1, 5], [5, 0], [3, NOW]]);

  client.places.set({ ...PLACES, spaces: PLACES.spaces.filter(({ space }) => space !== 20) });
  assert.deepEqual([opened.get("26/11")!.closed, opened.get("kept/26")!.closed, opened.get("30/1")!.closed], [true, true, false]);
  learning.close();
  assert.ok(opened.get("30/1")!.closed);
});
