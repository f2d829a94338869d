/**
 * What somebody might learn next, and in which order lessons stand: on a device without a network as on the server.
 *
 *     lessons, their requirements ─▶ inOrder (cycles broken) ─╮
 *     progress, checkpoints, paths, courses ──────────────────┴─ nextLessons ─▶ begun · to repeat · next of a path · of a course · others
 *
 * As protocol/curriculum.py; tests/vectors/learning.json says so.
 *
 * Invariant: pure, whatever the order of what is handed in; no lesson stands before another one that it requires, but in a cycle, and a cycle
 * begins where the lesson comes first by its place.
 */
import type { Fields, Value } from "./protocol";

/** Of a checkpoint, on average over its questions: below it is failed. */
export const PASS_POINTS = 60;
export const LIMIT = 8;
export const LessonState = { DRAFT: 0, PUBLISHED: 1, RETIRED: 2 } as const;

/** A lesson, as far as its place goes. */
export interface Lesson {
  readonly key: number;
  readonly course: number;
  readonly order: number;
  readonly level: number;
  readonly requires: readonly number[];
  readonly state: number;
}

/** How somebody stands at a lesson's questions. `points`: the sum over those that are graded, each 0 to 100. */
export interface Checkpoint {
  readonly asked: number;
  readonly graded: number;
  readonly points: number;
}

/** A lesson, and why: "continue:40" (percent), "repeat:50" (points), "prepare:7" (for lesson 7), "path:5", "course:3", "new". */
export interface Step {
  readonly lesson: number;
  readonly why: string;
}

export type Lessons = ReadonlyMap<number, Lesson>;
type Numbers = ReadonlyMap<number, number>;

export const NO_CHECKPOINT: Checkpoint = { asked: 0, graded: 0, points: 0 };

/** All of it is graded, and below what passes. */
export function isFailed({ asked, graded, points }: Checkpoint): boolean {
  return asked > 0 && graded >= asked && points < PASS_POINTS * graded;
}

function byPlace(a: Lesson, b: Lesson): number {
  return a.course - b.course || a.order - b.order || a.key - b.key;
}

/** Every lesson once: by course, place and key, but none before what it requires. In a cycle the first by place begins. */
export function inOrder(lessons: Lessons): number[] {
  const waiting = [...lessons.values()].sort(byPlace);
  const ranks = new Map(waiting.map(({ key }, rank) => [key, rank]));
  const missing = new Map(waiting.map(({ key, requires }) => [key, new Set(requires.filter((one) => lessons.has(one) && one !== key))]));
  const followers = new Map<number, number[]>();
  for (const [key, required] of missing) for (const one of required) followers.set(one, [...(followers.get(one) ?? []), key]);
  // Ascending ranks of what may stand next.
  const ready = waiting.flatMap(({ key }, rank) => (missing.get(key)!.size ? [] : [rank]));
  const ordered: number[] = [];
  const placed = new Set<number>();
  let first = 0;
  while (ordered.length < waiting.length) {
    if (!ready.length) {
      // Everything left is in a cycle, or behind one.
      while (placed.has(waiting[first]!.key)) first++;
      ready.push(beginCycle(missing, placed, ranks, waiting[first]!.key));
    }
    const { key } = waiting[ready.shift()!]!;
    if (placed.has(key)) continue;
    placed.add(key);
    ordered.push(key);
    for (const follower of followers.get(key) ?? []) {
      const left = missing.get(follower)!;
      left.delete(key);
      if (left.size || placed.has(follower)) continue;
      const rank = ranks.get(follower)!;
      const at = ready.findIndex((one) => one > rank);
      ready.splice(at < 0 ? ready.length : at, 0, rank);
    }
  }
  return ordered;
}

/** Follows requirements from `start` into a cycle; the rank of its first lesson by place. */
function beginCycle(missing: ReadonlyMap<number, ReadonlySet<number>>, placed: ReadonlySet<number>, ranks: Numbers, start: number): number {
  const path: number[] = [];
  let key = start;
  while (!path.includes(key)) {
    path.push(key);
    key = least([...missing.get(key)!].filter((one) => !placed.has(one)), ranks);
  }
  return ranks.get(least(path.slice(path.indexOf(key)), ranks))!;
}

function least(keys: readonly number[], ranks: Numbers): number {
  return keys.reduce((a, b) => (ranks.get(b)! < ranks.get(a)! ? b : a));
}

/** Where somebody stands: progress in percent and checkpoints, by lesson. */
export class Standing {
  /** Every lesson, in order. */
  readonly order: readonly number[];
  private readonly place: Numbers;

  constructor(
    private readonly lessons: Lessons,
    private readonly progress: Numbers,
    readonly checkpoints: ReadonlyMap<number, Checkpoint>,
  ) {
    this.order = inOrder(lessons);
    this.place = new Map(this.order.map((key, place) => [key, place]));
  }

  percent(key: number): number {
    return this.progress.get(key) ?? 0;
  }

  /** Its checkpoint was. */
  failed(key: number): boolean {
    return isFailed(this.checkpoints.get(key) ?? NO_CHECKPOINT);
  }

  done(key: number): boolean {
    return this.percent(key) >= 100 && !this.failed(key);
  }

  /** Not done, and not untouched. */
  begun(key: number): boolean {
    return this.percent(key) > 0 && this.percent(key) < 100;
  }

  /** What it requires that is not done, in order. In a cycle a lesson does not wait for what stands behind it. */
  lacks(key: number): number[] {
    const before = (this.lessons.get(key)?.requires ?? []).filter((one) => (this.place.get(one) ?? Infinity) < this.place.get(key)!);
    return this.sorted(new Set(before)).filter((one) => this.lessons.get(one)!.state !== LessonState.DRAFT && !this.done(one) && this.offered(one));
  }

  /** Whether it may be begun, or is. */
  isOpen(key: number): boolean {
    const lesson = this.lessons.get(key);
    if (!lesson) return false;
    return this.percent(key) > 0 || (lesson.state === LessonState.PUBLISHED && !this.lacks(key).length);
  }

  /** Those that there are, in order. */
  sorted(keys: Iterable<number>): number[] {
    return [...keys].filter((key) => this.place.has(key)).sort((a, b) => this.place.get(a)! - this.place.get(b)!);
  }

  /** A retired lesson that nobody began is asked of nobody. */
  private offered(key: number): boolean {
    return this.lessons.get(key)!.state === LessonState.PUBLISHED || this.percent(key) > 0;
  }
}

/** What somebody follows: paths with their steps, courses; `level`: their own. */
export interface Following {
  readonly paths: ReadonlyMap<number, readonly number[]>;
  readonly courses: ReadonlySet<number>;
  readonly level: number;
}

/** What might come next, best first: at most `limit` lessons, each once. Where something is followed, nothing else is offered as long as it
 *  leads on. */
export function nextLessons(lessons: Lessons, stand: Standing, { paths, courses, level }: Following, limit = LIMIT): Step[] {
  const steps = new Map<number, Step>();
  const add = (lesson: number, why: string) => {
    if (!steps.has(lesson)) steps.set(lesson, { lesson, why });
  };
  const isDraft = (key: number) => lessons.get(key)!.state === LessonState.DRAFT;
  const begun = [...lessons.keys()].filter((key) => stand.begun(key) && !isDraft(key));
  for (const key of begun.sort((a, b) => stand.percent(b) - stand.percent(a) || a - b)) add(key, `continue:${stand.percent(key)}`);
  const back = new Set<number>();
  for (const key of stand.order.filter((one) => stand.percent(one) >= 100 && stand.failed(one) && !isDraft(one))) {
    for (const required of stand.lacks(key)) offer(stand, required, `prepare:${key}`, back, add);
    const { points, graded } = stand.checkpoints.get(key)!;
    add(key, `repeat:${Math.floor(points / graded)}`);
  }
  let followed = false;
  const seen = new Set<number>();
  for (const [key, why] of followedLessons(lessons, paths, courses, stand)) {
    if (steps.size >= limit) break;
    if (stand.percent(key) < 100 && offer(stand, key, why, seen, add)) followed = true;
  }
  if (!followed && steps.size < limit) {
    const away = (key: number) => Math.abs(lessons.get(key)!.level - level);
    const rest = stand.order.filter((key) => stand.percent(key) === 0 && stand.isOpen(key));
    for (const key of rest.sort((a, b) => away(a) - away(b))) add(key, "new");
  }
  return [...steps.values()].slice(0, limit);
}

/** The lessons of paths, then of courses, with why: each as often as it comes. */
function followedLessons(lessons: Lessons, paths: Following["paths"], courses: ReadonlySet<number>, stand: Standing): [number, string][] {
  const ofPaths = ascending(paths.keys()).flatMap((path) => paths.get(path)!.filter((key) => lessons.has(key) && lessons.get(key)!.state !== LessonState.DRAFT).map((key) => [key, `path:${path}`] as [number, string]));
  const taught = (course: number) => stand.order.filter((key) => lessons.get(key)!.course === course && lessons.get(key)!.state === LessonState.PUBLISHED);
  return [...ofPaths, ...ascending(courses).flatMap((course) => taught(course).map((key) => [key, `course:${course}`] as [number, string]))];
}

function ascending(keys: Iterable<number>): number[] {
  return [...keys].sort((a, b) => a - b);
}

/** The lesson if it is open; else what it lacks and what that lacks, as far as that is open. Whether there was anything. `seen`: what was
 *  looked through already: it gave what it had, so however long a course is, each lesson is looked through once. */
function offer(stand: Standing, key: number, why: string, seen: Set<number>, add: (key: number, why: string) => void): boolean {
  if (stand.isOpen(key)) {
    add(key, why);
    return true;
  }
  if (seen.has(key)) return false;
  seen.add(key);
  let found = false;
  // The last one is the next: what comes first stands behind the others.
  const waiting = stand.lacks(key).reverse();
  for (let one = waiting.pop(); one !== undefined; one = waiting.pop()) {
    if (seen.has(one)) continue;
    seen.add(one);
    if (!stand.isOpen(one)) waiting.push(...stand.lacks(one).reverse());
    else if (stand.percent(one) < 100) {
      add(one, `prepare:${key}`);
      found = true;
    }
  }
  return found;
}

// From records

/** A record of a lesson. */
export function lessonOf(key: number, fields: Fields): Lesson {
  return { key, course: whole(fields.get(3)), order: whole(fields.get(4)), level: whole(fields.get(6)), requires: numbers(fields.get(7)), state: whole(fields.get(8)) };
}

/** How somebody stands at each lesson's questions. `questions`: the lesson of each; `points`: of those that are graded. */
export function checkpointsOf(questions: Numbers, points: Numbers): Map<number, Checkpoint> {
  const found = new Map<number, Checkpoint>();
  for (const [question, lesson] of questions) {
    const { asked, graded, points: before } = found.get(lesson) ?? NO_CHECKPOINT;
    found.set(lesson, { asked: asked + 1, graded: graded + Number(points.has(question)), points: before + (points.get(question) ?? 0) });
  }
  return found;
}

/** A field that holds a whole number; 0 where it does not. */
export function whole(value: Value | undefined): number {
  return typeof value === "number" ? value : 0;
}

/** A field that holds text; empty where it does not. */
export function text(value: Value | undefined): string {
  return typeof value === "string" ? value : "";
}

export function numbers(value: Value | undefined): number[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === "number") : [];
}

export function texts(value: Value | undefined): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
}
