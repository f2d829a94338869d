/**
 * Which spaces and streams there are, as the server last told, and when it has to be asked anew.
 *
 *     inbox, outcomes ─▶ due ─▶ Overview ─▶ Spaces, kept ─▶ whoever shows them; upkeep, which keeps their records
 *
 * What concerns records is told to upkeep; while that has not come it is noted in the store, in the same step as the cursor of the inbox.
 *
 * Invariant: what is due is asked on this socket or the next.
 */
import { decodeFrame, encode } from "./codec";
import { Code, type Raw, type Spaces } from "./protocol";
import type { Questions } from "./questions";
import type { Store } from "./store";
import type { Fact } from "./streams";

/** Join, Leave, CreateCommunity: they change which streams there are. */
const JOINING: readonly number[] = [9, 10, 6];
/** Claim, Reopen, Resolve, Release, SetBack: they change conflicts. */
const DECIDING: readonly number[] = [19, 21, 20, 24, 22];
const CHANGE = 18;
/** Of a Change's outcome, modulo 8: somebody has to look at it. Higher ones are a newer server's. */
const REVIEW = 4;
export const DOUBTED = "doubted";
export const LEFT_SPACES = "left spaces";

/** Whom it concerns besides. */
export interface Concerned {
  /** Something has happened to a conflict. */
  doubt(): void;
  /** One is no longer in a space. */
  leave(space: number): void;
  told(spaces: Spaces): void;
}

export class Overview {
  /** As it was last told; undefined: never. */
  spaces: Spaces | undefined;
  concerned: Concerned | undefined;
  /** Told when they are others now. */
  changed: () => void = () => undefined;
  private due: boolean;
  private asked = false;

  constructor(
    private readonly store: Store,
    private readonly questions: Pick<Questions, "wonder">,
    private readonly wake: () => void,
  ) {
    const spaces = store.noted("spaces") as Raw | undefined;
    this.spaces = spaces && (decodeFrame(spaces) as Spaces);
    this.due = Boolean(store.noted("overview due"));
  }

  get isComplete(): boolean {
    return !this.due && !this.asked;
  }

  welcome(): void {
    this.due ||= !this.spaces;
  }

  cut(): void {
    this.due ||= this.asked;
    this.asked = false;
  }

  /** Asks for it anew. */
  want(): void {
    if (!this.due) this.store.note("overview due", true);
    this.due = true;
    this.wake();
  }

  askWhatIsDue(): void {
    if (!this.due || this.asked) return;
    this.due = false;
    this.asked = true;
    this.questions.wonder((id) => ({ type: "Overview", id }), (answer) => {
      this.asked = false;
      if (answer.type === "Spaces") this.hearSpaces(answer);
    });
  }

  private hearSpaces(spaces: Spaces): void {
    this.spaces = spaces;
    this.store.note("spaces", encode(spaces));
    this.concerned?.told(spaces);
    if (!this.due) this.store.note("overview due", undefined);
    this.changed();
    this.wake();
  }

  /** An event of the inbox; not taken: nobody reads it, and what it would have said is asked for. */
  hear(fact: Fact, taken: boolean): void {
    const body = fact.type === "Event" ? fact.body : undefined;
    if (!taken || body?.type === "ConflictNoted") this.doubt();
    if (body?.type === "SpaceLeft") this.leave(body.space);
    if (!taken || (body && ["SpaceEntered", "SpaceLeft", "Invited", "PersonBlocked"].includes(body.type))) this.want();
    this.wake();
  }

  /** A mutation has its outcome: what it may have changed is asked for. */
  decided(operation: Raw, code: number, value: number): void {
    if (code !== Code.OK) return;
    const tag = operation[1] ?? 0;
    if (JOINING.includes(tag)) this.want();
    else if (DECIDING.includes(tag) || (tag === CHANGE && value % 8 >= REVIEW)) this.doubt();
  }

  private doubt(): void {
    if (this.concerned) this.concerned.doubt();
    else this.store.note(DOUBTED, true);
  }

  private leave(space: number): void {
    if (this.concerned) this.concerned.leave(space);
    else this.store.note(LEFT_SPACES, [...((this.store.noted(LEFT_SPACES) ?? []) as number[]), space]);
  }
}
