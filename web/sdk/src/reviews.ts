/**
 * When a question is to come again: FSRS-6, the same on every device and on the server.
 *
 *     Card, rating, now ─▶ review ─▶ the next Card: due, stability, difficulty, state
 *
 * As protocol/reviews.py; tests/vectors/learning.json says so.
 *
 * Invariant: pure; a card follows from the ratings and times of its reviews and from nothing else.
 */
import type { Fields, Value } from "./protocol";

const W = [
  0.212, 1.2931, 2.3065, 8.2956, 6.4133, 0.8334, 3.0194, 0.001, 1.8722, 0.1666, 0.796, 1.4835, 0.0614, 0.2629, 1.6483, 0.6014, 1.8729, 0.5425, 0.0912, 0.0658,
  0.1542,
] as const;
const RETENTION = 0.9;
const DAYS_MAX = 36_500;
const STABILITY_MAX = 2 ** 31 - 1;
const STEP_S = 600;
const HARD_STEP_S = 900;
const DAY_S = 86_400;
const PASS_POINTS = 60;
const COUNT_MAX = 2 ** 20;
const DECAY = -W[20];
const FACTOR = RETENTION ** (1 / DECAY) - 1;

/** How well an answer was known. */
export const Rating = { WRONG: 1, HARD: 2, GOOD: 3, EASY: 4 } as const;
const State = { NEW: 0, LEARNING: 1, REVIEW: 2, AGAIN: 3 } as const;

/** A card's fields. `due` and `last` in Unix seconds, `stability` in thousandths of a day, `difficulty` in thousandths. */
export interface Card {
  readonly due: number;
  readonly stability: number;
  readonly difficulty: number;
  readonly reps: number;
  readonly lapses: number;
  readonly state: number;
  readonly last: number;
}

export const NEW_CARD: Card = { due: 0, stability: 0, difficulty: 0, reps: 0, lapses: 0, state: 0, last: 0 };

/** What a practice grade says of how well it was known. */
export function ratingOf(points: number, quickly = false): number {
  if (points >= 100) return quickly ? Rating.EASY : Rating.GOOD;
  return points >= PASS_POINTS ? Rating.HARD : Rating.WRONG;
}

/** The card after a review at `now`, in Unix seconds. A time before the last review counts as that review's. */
export function review(card: Card, rating: number, now: number): Card {
  now = Math.max(now, card.last);
  const days = Math.floor((now - card.last) / DAY_S);
  let stability: number = W[(rating - 1) as 0];
  let difficulty = clamped(firstDifficulty(rating));
  if (card.state !== State.NEW && card.stability) {
    const hard = Math.max(1, card.difficulty / 1000);
    stability = days < 1 ? soon(card.stability / 1000, rating) : later(card.stability / 1000, hard, recall(card, now), rating);
    difficulty = nextDifficulty(hard, rating);
  }
  const thousandths = Math.min(STABILITY_MAX, Math.max(1, round(stability * 1000)));
  const learned = card.state === State.REVIEW;
  const wrong = rating === Rating.WRONG;
  const stays = wrong || (rating === Rating.HARD && !learned);
  return {
    due: now + (stays ? (wrong ? STEP_S : HARD_STEP_S) : DAY_S * intervalDays(thousandths)),
    stability: thousandths,
    difficulty: round(difficulty * 1000),
    reps: Math.min(COUNT_MAX, card.reps + 1),
    lapses: Math.min(COUNT_MAX, card.lapses + Number(learned && wrong)),
    state: !stays ? State.REVIEW : learned || card.state === State.AGAIN ? State.AGAIN : State.LEARNING,
    last: now,
  };
}

/** How likely it is known at `now`, from 0 to 1; of a new card 0. */
export function recall(card: Card, now: number): number {
  const days = Math.floor(Math.max(0, now - card.last) / DAY_S);
  return card.stability ? (1 + (FACTOR * days) / (card.stability / 1000)) ** DECAY : 0;
}

function intervalDays(stability: number): number {
  return Math.min(DAYS_MAX, Math.max(1, round((stability / 1000 / FACTOR) * (RETENTION ** (1 / DECAY) - 1))));
}

/** Half goes to the even neighbour. */
function round(value: number): number {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}

function firstDifficulty(rating: number): number {
  return W[4] - Math.exp(W[5] * (rating - 1)) + 1;
}

function clamped(difficulty: number): number {
  return Math.min(10, Math.max(1, difficulty));
}

function nextDifficulty(difficulty: number, rating: number): number {
  const moved = difficulty - (W[6] * (rating - 3) * (10 - difficulty)) / 9;
  return clamped(W[7] * firstDifficulty(Rating.EASY) + (1 - W[7]) * moved);
}

/** On the same day. */
function soon(stability: number, rating: number): number {
  const grows = Math.exp(W[17] * (rating - 3 + W[18])) * stability ** -W[19];
  return stability * (rating === Rating.WRONG ? grows : Math.max(1, grows));
}

/** After a day or more; `recalled`: how likely it was still known. */
function later(stability: number, difficulty: number, recalled: number, rating: number): number {
  if (rating === Rating.WRONG) {
    const forgotten = W[11] * difficulty ** -W[12] * ((stability + 1) ** W[13] - 1) * Math.exp((1 - recalled) * W[14]);
    return Math.min(forgotten, stability / Math.exp(W[17] * W[18]));
  }
  const weight = rating === Rating.HARD ? W[15] : rating === Rating.EASY ? W[16] : 1;
  const grows = Math.exp(W[8]) * (11 - difficulty) * stability ** -W[9] * (Math.exp((1 - recalled) * W[10]) - 1);
  return stability * (1 + grows * weight);
}

/** A record of a card. */
export function cardOf(fields: Fields): Card {
  const whole = (number: number) => (typeof fields.get(number) === "number" ? (fields.get(number) as number) : 0);
  const [due, stability, difficulty, reps, lapses, state, last] = [2, 3, 4, 5, 6, 7, 8].map(whole) as [number, number, number, number, number, number, number];
  return { due, stability, difficulty, reps, lapses, state, last };
}

/** All fields of its record: a card is written whole, so that of two devices' cards one stays and not half of each. */
export function fieldsOf(card: Card, lesson: number): ReadonlyMap<number, Value> {
  const { due, stability, difficulty, reps, lapses, state, last } = card;
  return new Map([lesson, due, stability, difficulty, reps, lapses, state, last].map((value, place) => [place + 1, value]));
}
