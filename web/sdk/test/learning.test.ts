import assert from "node:assert/strict";
import { test } from "node:test";
import { fieldsOf, grade, isRight, NEW_CARD, normalise, readings, review } from "../src/learning";
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
