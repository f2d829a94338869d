/**
 * One community's learning as an application reads it, for one account: computed from the records that are here, without a network.
 *
 *     records of library, progress, answers ─▶ outline · next · sections · questions · grades · due
 *     an answer ─judge─▶ what it is worth here, what it changes (ANSWER, perhaps CARD) ─▶ whoever keeps it
 *
 * As client/learning.py and client/reviews.py.
 *
 * Invariant: pure; a grade that is shown is the server's for the answer that is shown, or says that it is this device's own.
 */
import type { RecordView } from "./api";
import { checkpointsOf, LessonState, lessonOf, LIMIT, NO_CHECKPOINT, nextLessons, numbers, Standing, text, texts, whole, type Checkpoint, type Lesson, type Step } from "./curriculum";
import { Form, gradeAnswer, type Graded } from "./grading";
import type { Fields, Value } from "./protocol";
import { cardOf, fieldsOf, Rating, ratingOf, review, type Card } from "./reviews";

/** Numbers of entities (docs/entities.md). */
export const Entity = { PROGRESS: 1, ANSWER: 2, CONTENT: 8, SUBJECT: 9, COURSE: 10, LESSON: 11, PATH: 12, QUESTION: 13, ANSWER_KEY: 15, ENROLMENT: 16, CARD: 17, NEXT: 18, INSIGHT: 19, GRADE: 20, LEARNING: 22, GOAL: 23 } as const;
/** Of an enrolment. */
export const EnrolmentState = { ACTIVE: 0, PAUSED: 1, DONE: 2, LEFT: 3 } as const;

/** What the server thought might come next is followed that long. */
const NEXT_FRESH_S = 3 * 86_400;
/** A question that came so shortly ago is not yet one that comes again. */
const AGAIN_S = 600;
const SECONDS_MAX = 2 ** 20;
const NONE: readonly RecordView[] = [];
const NOTHING: Fields = new Map();

export type LessonStanding = "done" | "begun" | "open" | "closed" | "failed" | "draft" | "retired";

/** A lesson in an outline; `waitsFor`: lessons that come before it. */
export interface Line {
  readonly lesson: number;
  readonly title: string;
  readonly summary: string;
  readonly minutes: number;
  readonly percent: number;
  readonly standing: LessonStanding;
  readonly checkpoint: Checkpoint;
  readonly waitsFor: readonly number[];
  /** What one has done in it is on its way. */
  readonly pending: boolean;
}

/** A section of a lesson. */
export interface Section {
  readonly key: number;
  readonly title: string;
  readonly text: string;
  readonly order: number;
  /** Its pictures and files: uploads that are in the library. */
  readonly files: readonly number[];
  /** The record's. */
  readonly version: number;
  readonly pending: boolean;
}

/** A question of a checkpoint, as it is asked: its form is one that is known. */
export interface Question {
  readonly key: number;
  readonly lesson: number;
  readonly form: number;
  readonly prompt: string;
  readonly options: readonly string[];
  readonly explanation: string;
  /** Only the server grades it, and of it the first answer counts. */
  readonly exam: boolean;
}

/** What the present answer is worth. `byServer`: the server graded this answer; else it is this device's own, and null where no key is here.
 *  `pending`: the answer is not sent. */
export interface Grade {
  readonly question: number;
  readonly graded: Graded | null;
  readonly byServer: boolean;
  readonly attempts: number;
  readonly pending: boolean;
}

export interface Due {
  readonly question: number;
  readonly lesson: number;
  readonly card: Card;
}

/** Places of options, or words; `seconds`: how long it took. */
export interface Given {
  readonly choices?: readonly number[];
  readonly text?: string;
  readonly seconds?: number;
}

/** A change to be kept. */
export interface Writing {
  readonly entity: number;
  readonly key: number;
  readonly fields: ReadonlyMap<number, Value>;
}

/** What becomes of an answer. `graded`: null where no key is here; `card`: when it comes again, where it does. */
export interface Judged {
  readonly graded: Graded | null;
  readonly card: Card | null;
  readonly writings: readonly Writing[];
}

export class Study {
  private readonly found = new Map<string, unknown>();

  /** `table`: the records of an entity that are here, by key; none of a stream that one may not read. `now`: Unix time in seconds. */
  constructor(
    private readonly table: (entity: number) => readonly RecordView[] = () => NONE,
    readonly now = 0,
    /** Whether this account writes the library. */
    readonly mayWrite = false,
  ) {}

  private once<T>(name: string, make: () => T): T {
    if (!this.found.has(name)) this.found.set(name, make());
    return this.found.get(name) as T;
  }

  /** The records of an entity, by key. */
  all(entity: number): ReadonlyMap<number, RecordView> {
    return this.once(`all ${entity}`, () => new Map(this.table(entity).map((view) => [view.key, view])));
  }

  fields(entity: number, key: number): Fields {
    return this.all(entity).get(key)?.fields ?? NOTHING;
  }

  title(entity: number, key: number): string {
    return text(this.fields(entity, key).get(1));
  }

  get lessons(): ReadonlyMap<number, Lesson> {
    return this.once("lessons", () => new Map([...this.all(Entity.LESSON)].map(([key, { fields }]) => [key, lessonOf(key, fields)])));
  }

  /** Courses in their order; 0 stands for lessons of none. */
  get courses(): readonly number[] {
    const place = ([, { fields }]: readonly [number, RecordView]) => whole(fields.get(6));
    const courses = [...this.all(Entity.COURSE)].sort((a, b) => place(a) - place(b) || a[0] - b[0]).map(([key]) => key);
    return [...courses, 0];
  }

  /** The records of an entity by the lesson that a field of theirs names: looked through once, however many lessons ask. */
  private ofLesson(entity: number, field: number, lesson: number): readonly RecordView[] {
    const byLesson = this.once(`of lesson ${entity}`, () => {
      const found = new Map<number, RecordView[]>();
      for (const view of this.all(entity).values()) {
        const of = whole(view.fields.get(field));
        const others = found.get(of);
        if (others) others.push(view);
        else found.set(of, [view]);
      }
      return found;
    });
    return byLesson.get(lesson) ?? NONE;
  }

  /** The text of a lesson, in its order. */
  sections(lesson: number): Section[] {
    return this.ofLesson(Entity.CONTENT, 3, lesson)
      .map(({ key, fields, version, pending }) => ({ key, title: text(fields.get(1)), text: text(fields.get(2)), order: whole(fields.get(4)), files: numbers(fields.get(5)), version, pending: pending > 0 }))
      .sort((a, b) => a.order - b.order || a.key - b.key);
  }

  /** A lesson's checkpoint, in its order. */
  questions(lesson: number): Question[] {
    const byOrder = (a: RecordView, b: RecordView) => whole(a.fields.get(9)) - whole(b.fields.get(9)) || a.key - b.key;
    return [...this.ofLesson(Entity.QUESTION, 1, lesson)].sort(byOrder).map(questionOf);
  }

  question(key: number): Question | undefined {
    const view = this.all(Entity.QUESTION).get(key);
    return view && questionOf(view);
  }

  // Where one stands

  /** Of every question that one answered. */
  get grades(): ReadonlyMap<number, Grade> {
    return this.once("grades", () => {
      const found = new Map<number, Grade>();
      for (const [key, answer] of this.all(Entity.ANSWER)) {
        const server = this.fields(Entity.GRADE, key);
        const asked = this.all(Entity.QUESTION).get(key);
        const about = { question: key, attempts: whole(server.get(3)), pending: answer.pending > 0 };
        // Of an exam the first answer counts: its grade is about that one, whatever was answered since.
        const fits = asked?.fields.get(10) === true || (!answer.pending && server.get(5) === answer.version);
        if (server.size && fits) {
          const [points, words] = [whole(server.get(1)), text(server.get(4))];
          found.set(key, { ...about, graded: words === "ungraded" ? null : { points, right: points === 100, words }, byServer: true });
        } else if (asked) found.set(key, { ...about, graded: gradeAnswer(asked.fields, answer.fields), byServer: false });
      }
      return found;
    });
  }

  /** How one stands at each lesson's questions, with what only this device has graded yet. */
  get checkpoints(): ReadonlyMap<number, Checkpoint> {
    return this.once("checkpoints", () => {
      const asked = new Map([...this.all(Entity.QUESTION)].map(([key, { fields }]) => [key, whole(fields.get(1))]));
      return checkpointsOf(asked, new Map([...this.grades.values()].flatMap(({ question, graded }) => (graded ? [[question, graded.points]] : []))));
    });
  }

  get standing(): Standing {
    const progress = () => new Map([...this.all(Entity.PROGRESS)].map(([key, { fields }]) => [key, whole(fields.get(1))]));
    return this.once("standing", () => new Standing(this.lessons, progress(), this.checkpoints));
  }

  standingOf(key: number): LessonStanding {
    const { standing: stand } = this;
    const state = this.lessons.get(key)?.state;
    if (stand.percent(key) >= 100) return stand.failed(key) ? "failed" : "done";
    if (stand.begun(key)) return "begun";
    if (state !== LessonState.PUBLISHED) return state === LessonState.RETIRED ? "retired" : "draft";
    return stand.isOpen(key) ? "open" : "closed";
  }

  line(lesson: number): Line {
    const { fields } = this.all(Entity.LESSON).get(lesson) ?? { fields: NOTHING };
    const standing = this.standingOf(lesson);
    const pending = (this.all(Entity.PROGRESS).get(lesson)?.pending ?? 0) > 0 || this.ofLesson(Entity.QUESTION, 1, lesson).some(({ key }) => this.grades.get(key)?.pending);
    return {
      lesson,
      title: text(fields.get(1)),
      summary: text(fields.get(2)),
      minutes: whole(fields.get(5)),
      percent: this.standing.percent(lesson),
      standing,
      checkpoint: this.checkpoints.get(lesson) ?? NO_CHECKPOINT,
      waitsFor: standing === "closed" ? this.standing.lacks(lesson) : [],
      pending,
    };
  }

  /** A course's lessons in their order (0: those of none that is here); drafts only for whoever may write them, retired ones for whoever began. */
  outline(course: number): Line[] {
    const isOf = ({ course: of }: Lesson) => (course ? of === course : !this.all(Entity.COURSE).has(of));
    const keys = this.standing.order.filter((key) => isOf(this.lessons.get(key)!));
    return keys.map((key) => this.line(key)).filter(({ standing }) => this.mayWrite || (standing !== "draft" && standing !== "retired"));
  }

  /** What might come next, best first. What is begun, failed or to be prepared comes first; then what the server thinks, while that is fresh
   *  and still open; then the rest. */
  next(limit = LIMIT): Step[] {
    const stand = this.standing;
    const active = [...this.all(Entity.ENROLMENT).values()].map(({ fields }) => fields).filter((fields) => whole(fields.get(5)) === EnrolmentState.ACTIVE);
    const followed = new Set(active.map((fields) => whole(fields.get(2))));
    const paths = new Map([...this.all(Entity.PATH)].filter(([key]) => followed.has(key)).map(([key, { fields }]) => [key, numbers(fields.get(4))]));
    const courses = new Set(active.map((fields) => whole(fields.get(1))).filter(Boolean));
    const level = whole(this.fields(Entity.LEARNING, 1).get(2));
    const steps = nextLessons(this.lessons, stand, { paths, courses, level }, this.lessons.size);
    const urgent = steps.filter(({ why }) => /^(continue|repeat|prepare)/.test(why));
    const here = new Map(steps.map((step) => [step.lesson, step]));
    const ordered = new Map<number, Step>();
    for (const step of [...urgent, ...this.advised(stand), ...steps]) {
      if (!ordered.has(step.lesson)) ordered.set(step.lesson, step.why === "new" ? (here.get(step.lesson) ?? step) : step);
    }
    return [...ordered.values()].slice(0, limit);
  }

  /** What the server thinks comes next, as far as it still fits what stands here. */
  private advised(stand: Standing): Step[] {
    const said = this.fields(Entity.NEXT, 1);
    if (this.now - whole(said.get(4)) > NEXT_FRESH_S) return [];
    const reasons = texts(said.get(3));
    // What stands behind a semicolon says how the chance was reckoned.
    const steps = numbers(said.get(1)).map((lesson, at) => ({ lesson, why: (reasons[at] ?? "new").split(";")[0]! }));
    return steps.filter(({ lesson }) => stand.isOpen(lesson) && stand.percent(lesson) === 0);
  }

  // Questions that come again

  /** Cards whose question is here, the longest due first. */
  get cards(): readonly Due[] {
    return this.once("cards", () => {
      const here = [...this.all(Entity.CARD).values()].filter(({ key }) => this.all(Entity.QUESTION).has(key));
      const cards = here.map(({ key, fields }) => ({ question: key, lesson: whole(fields.get(1)), card: cardOf(fields) }));
      return cards.sort((a, b) => a.card.due - b.card.due || a.question - b.question);
    });
  }

  /** Those whose time has come. */
  due(now = this.now): Due[] {
    return this.cards.filter(({ card }) => card.due <= now);
  }

  /** A checkpoint's answer. What was not all right is also a review, so its question comes again; so is what was due anyway. */
  take(question: number, given: Given, now: number): Judged {
    const { graded, fields } = this.grade(question, given);
    const present = this.all(Entity.CARD).get(question);
    const card = present && cardOf(present.fields);
    const counts = graded !== null && (graded.right ? card !== undefined && card.due <= now : !card || now - card.last >= AGAIN_S);
    if (!counts) return { graded, card: card ?? null, writings: [{ entity: Entity.ANSWER, key: question, fields }] };
    return this.reviewed(question, graded, fields, ratingOf(graded.points), now);
  }

  /** Answers a question again, or for the first time: then its card begins. `said`: how well it was known, as the person says. What was graded
   *  wrong is wrong whoever says what, and what is right is not. Throws `RangeError` where neither a key nor anybody says it. */
  review(question: number, given: Given, now: number, said?: number): Judged {
    const { graded, fields } = this.grade(question, given);
    if (!graded && !said) throw new RangeError("no key is here to grade it by: say how well it was known");
    const byGrade = graded && ratingOf(graded.points);
    const rating = byGrade === null ? said! : byGrade === Rating.WRONG || !said ? byGrade : Math.max(said, Rating.HARD);
    return this.reviewed(question, graded, fields, rating, now);
  }

  private grade(question: number, { choices = [], text: words = "", seconds = 0 }: Given): { graded: Graded | null; fields: ReadonlyMap<number, Value> } {
    const asked = this.all(Entity.QUESTION).get(question);
    if (!asked) throw new RangeError(`there is no question ${question} on this device`);
    const fields = new Map<number, Value>([[2, choices], [3, words], [4, Math.max(0, Math.min(Math.floor(seconds), SECONDS_MAX))]]);
    return { graded: gradeAnswer(asked.fields, fields), fields };
  }

  /** A card is written with the answer it follows from, and counts it once. */
  private reviewed(question: number, graded: Graded | null, fields: ReadonlyMap<number, Value>, rating: number, now: number): Judged {
    const card = review(cardOf(this.fields(Entity.CARD, question)), rating, now);
    const lesson = this.question(question)!.lesson;
    const writings = [
      { entity: Entity.ANSWER, key: question, fields: new Map([...fields, [5, rating]]) },
      { entity: Entity.CARD, key: question, fields: fieldsOf(card, lesson) },
    ];
    return { graded, card, writings };
  }
}

function questionOf({ key, fields }: RecordView): Question {
  const form = whole(fields.get(2));
  const known = Object.values(Form).includes(form as 0);
  return {
    key,
    lesson: whole(fields.get(1)),
    // One that is newer than this program is answered in words.
    form: known ? form : Form.SHORT,
    prompt: text(fields.get(3)),
    options: texts(fields.get(4)),
    explanation: text(fields.get(7)),
    exam: fields.get(10) === true,
  };
}
