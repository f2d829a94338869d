/**
 * What learning needs beside records: courses and what comes next, grading of answers, and when a question comes again. Loaded when a lesson
 * is opened.
 *
 *     client.records of a community ─▶ Learning ─▶ a Study: each time anew, when something in it has changed
 *     take · review · advance · enrol · write ─▶ client.change, kept on the device before anything else
 *
 * Invariant: what is read follows from the records that are here; nothing is kept beside them.
 */
import type { Client, Kept, Open, Places, RecordView } from "./api";
import { SpaceKind, StreamKind, type Value } from "./protocol";
import { entities } from "./records";
import { EnrolmentState, Entity, Study, type Given, type Judged } from "./study";

export { isRight, normalise, readings } from "./answers";
export { isFailed, LessonState, PASS_POINTS, text, texts, whole, type Checkpoint, type Lesson, type Step } from "./curriculum";
export { askedOf, Form, grade, gradeAnswer, type Asked, type Graded } from "./grading";
export { cardOf, fieldsOf, NEW_CARD, Rating, ratingOf, recall, review, type Card } from "./reviews";
export { EnrolmentState, Entity, Study, type Due, type Given, type Grade, type Judged, type LessonStanding, type Line, type Question, type Section } from "./study";

const READ = [
  Entity.CONTENT, Entity.SUBJECT, Entity.COURSE, Entity.LESSON, Entity.PATH, Entity.QUESTION, Entity.ANSWER_KEY, Entity.PROGRESS, Entity.ENROLMENT, Entity.CARD, Entity.NEXT,
  Entity.INSIGHT, Entity.ANSWER, Entity.GRADE, Entity.LEARNING,
];

/** The stream that holds an entity's records for a community's members, as far as this account has it: the community's, one's own there, or
 *  one's own altogether. 0: there is none. */
export function streamOf(places: Places, community: number, entity: number): number {
  const kind = entities().get(entity)?.stream;
  const isHere = ({ space, kind: of, name }: { space: number; kind: number; name: string }) =>
    kind === StreamKind.OWN ? of === SpaceKind.PERSONAL : of === SpaceKind.ENROLMENT ? Number(name) === community : of === SpaceKind.COMMUNITY && space === community;
  const streams = places.spaces.filter(isHere).flatMap((space) => space.streams);
  return streams.find((one) => one.kind === kind)?.stream ?? 0;
}

/** One community's learning, for this account; `close` it when nobody looks any more. */
export class Learning implements Open<Study> {
  value = new Study();
  private readonly listeners = new Set<(value: Study) => void>();
  private readonly open = new Map<number, Open<readonly RecordView[]>>();
  private readonly held = new Map<number, Open<Kept>>();
  private readonly streams = new Map<number, number>();
  private readonly off: () => void;
  private dirty = false;
  private closed = false;

  /** `wall`: Unix time in milliseconds. */
  constructor(
    private readonly client: Pick<Client, "places" | "records" | "change" | "erase" | "kept" | "newKey">,
    readonly community: number,
    private readonly wall: () => number = () => Date.now(),
  ) {
    this.off = client.places.subscribe((places) => this.place(places));
    this.tell();
  }

  private place(places: Places): void {
    for (const entity of READ) {
      const stream = streamOf(places, this.community, entity);
      if (this.streams.get(entity) === stream) continue;
      this.streams.set(entity, stream);
      this.open.get(entity)?.close();
      this.open.delete(entity);
      if (stream) this.listen(this.open, entity, this.client.records(stream, entity));
    }
    const wanted = new Set(this.streams.values());
    for (const [stream, held] of this.held) {
      if (wanted.has(stream)) continue;
      held.close();
      this.held.delete(stream);
    }
    for (const stream of wanted) if (stream && !this.held.has(stream)) this.listen(this.held, stream, this.client.kept(stream));
    this.stir();
  }

  private listen<T>(into: Map<number, Open<T>>, key: number, one: Open<T>): void {
    into.set(key, one);
    one.subscribe(() => this.stir());
  }

  /** Many records come in one step of the program: they are told of together. */
  private stir(): void {
    if (this.dirty) return;
    this.dirty = true;
    queueMicrotask(() => this.dirty && !this.closed && this.tell());
  }

  private tell(): void {
    this.dirty = false;
    const library = this.client.places.value.spaces.flatMap((space) => space.streams).find(({ stream }) => stream === this.streams.get(Entity.LESSON));
    this.value = new Study((entity) => this.open.get(entity)?.value ?? [], this.now(), library?.mayWrite ?? false);
    for (const listener of [...this.listeners]) listener(this.value);
  }

  /** Unix time in seconds. */
  now(): number {
    return Math.floor(this.wall() / 1000);
  }

  subscribe(listener: (value: Study) => void): () => void {
    this.listeners.add(listener);
    listener(this.value);
    return () => void this.listeners.delete(listener);
  }

  close(): void {
    this.closed = true;
    this.off();
    for (const one of [...this.open.values(), ...this.held.values()]) one.close();
    this.listeners.clear();
  }

  /** Whether the lessons, and what one has of one's own, are on this device: "unknown" until that is known, "coming" while some are not. */
  get kept(): "unknown" | "coming" | "here" | "none" {
    if (!this.streams.get(Entity.LESSON)) return "none";
    const states = [...this.held.values()].map(({ value }) => value);
    if (!states.every(({ known }) => known)) return "unknown";
    return states.every(({ here }) => here) ? "here" : "coming";
  }

  /** Whether this account has progress and answers of its own here. */
  get learns(): boolean {
    return Boolean(this.streams.get(Entity.PROGRESS) && this.streams.get(Entity.ANSWER));
  }

  // What one does. A promise is of the outcome, and without a network it waits; what was written is shown at once.

  /** Writes fields of a record of this community. Rejected where it has no stream for it. */
  async write(entity: number, key: number, fields: ReadonlyMap<number, Value>, base?: number): Promise<number> {
    return this.client.change(this.streamFor(entity), entity, key, fields, base);
  }

  async erase(entity: number, key: number): Promise<number> {
    return this.client.erase(this.streamFor(entity), entity, key);
  }

  newKey(): number {
    return this.client.newKey();
  }

  private streamFor(entity: number): number {
    const stream = this.streams.get(entity);
    if (!stream) throw new RangeError(`community ${this.community} has no stream for entity ${entity}`);
    return stream;
  }

  /** Answers a checkpoint's question; graded at once where the key is here. `outcome`: of all that was written. */
  take(question: number, given: Given): Judged & { outcome: Promise<unknown> } {
    return this.keep(this.value.take(question, given, this.now()));
  }

  /** Answers a question that comes again. */
  review(question: number, given: Given, said?: number): Judged & { outcome: Promise<unknown> } {
    return this.keep(this.value.review(question, given, this.now(), said));
  }

  private keep(judged: Judged): Judged & { outcome: Promise<unknown> } {
    const outcome = Promise.all(judged.writings.map(({ entity, key, fields }) => this.write(entity, key, fields)));
    return { ...judged, outcome };
  }

  /** Lets a question come no more. */
  forget(question: number): Promise<number> {
    return this.erase(Entity.CARD, question);
  }

  /** Says how far one is in a lesson; it only ever advances. */
  advance(lesson: number, percent: number): Promise<number> {
    return this.write(Entity.PROGRESS, lesson, new Map([[1, percent]]));
  }

  /** Enrols in a course or on a path that is here, or pauses, ends or leaves it. `goal`: what for, in one's own words. */
  enrol(key: number, state: number = EnrolmentState.ACTIVE, goal?: string): Promise<number> {
    const isPath = this.value.all(Entity.PATH).has(key);
    const fields = new Map<number, Value>([[isPath ? 2 : 1, key], [5, state]]);
    if (!this.value.all(Entity.ENROLMENT).has(key)) fields.set(3, this.now());
    if (goal !== undefined) fields.set(4, goal);
    return this.write(Entity.ENROLMENT, key, fields);
  }
}
