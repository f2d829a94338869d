/**
 * A conflict as a person decides it: field by field what either side has, what both together could be, and what a decision writes. Pure.
 *
 *     Conflict ─▶ Case: mine, theirs, what stands there ─▶ a FieldView each ─ Picks ─▶ Decision, and the record after it
 *
 * Invariant: what is shown as the result is what the server writes for the decision, as long as the record has not changed meanwhile.
 */
import type { Decision } from "../../../../sdk/src/api";
import { BadFields } from "../../../../sdk/src/errors";
import type { Conflict, Fields, Raw, Value } from "../../../../sdk/src/protocol";
import { entities, prepare, readFields, upcast, type Declaration, type Field } from "../../../../sdk/src/records";
import { isSame, mergeText, proposal, type Piece } from "./three_way";

/** Stands among a side's fields for its being a deletion. */
const GONE = 0;
export const DECIDED = 3;
export const AUTOMATIC = 4;
export const REVIEW = 4;

export type From = "mine" | "theirs" | "merged";
export type Taken = "mine" | "theirs" | "both" | "";

/** One field that the sides have differently. `now`: what stands there, where that is neither. `pieces`: the merged text, where both changed it. */
export interface FieldView {
  readonly field: Field;
  readonly common: Value | undefined;
  readonly mine: Value | undefined;
  readonly theirs: Value | undefined;
  readonly now: Value | undefined;
  readonly proposal: Value | undefined;
  readonly pieces: readonly Piece[];
}

/** `leaves`: whether "theirs" is what stands there, whatever that is. */
export interface Case {
  readonly conflict: Conflict;
  readonly declaration: Declaration | undefined;
  readonly mine: Fields;
  readonly theirs: Fields;
  readonly present: Fields;
  /** What both began from, as far as it is kept. */
  readonly common: Fields;
  readonly mineGone: boolean;
  readonly theirsGone: boolean;
  readonly leaves: boolean;
  readonly views: readonly FieldView[];
}

/** What somebody chose for a field; `clashes`: for each part that both changed differently. */
export interface Pick {
  readonly from: From | "";
  readonly edited: Value | undefined;
  readonly clashes: readonly Taken[];
}

export type Picks = ReadonlyMap<number, Pick>;

/** Fields for showing: what cannot be read is shown as nothing. */
export function shownFields(entity: number, raw: Raw): Fields {
  try {
    return upcast(entity, readFields(raw));
  } catch (error) {
    if (error instanceof BadFields) return new Map();
    throw error;
  }
}

export function isOpen({ state }: Conflict): boolean {
  return state !== DECIDED && state !== AUTOMATIC;
}

export function caseOf(conflict: Conflict): Case {
  const { entity } = conflict;
  const [mine, theirs, common, present] = [conflict.mine, conflict.theirs, conflict.common, conflict.present].map((side) => shownFields(entity, side)) as [Fields, Fields, Fields, Fields];
  const declaration = entities().get(entity);
  const leaves = declaration?.rule === "manual" && !conflict.choice;
  const mineGone = conflict.gone || mine.get(GONE) === true;
  const theirsGone = leaves ? present.size === 0 : theirs.get(GONE) === true;
  const views = [...(declaration?.fields.values() ?? [])]
    .filter(({ number, housekeeping }) => !housekeeping && (mine.has(number) || (theirs.has(number) && !leaves)))
    .map((field) => viewOf(field, declaration!, { common, mine, theirs: leaves ? NONE : theirs, present }))
    .filter((view) => !isSame(view.mine, view.theirs));
  return { conflict, declaration, mine, theirs, present, common, mineGone, theirsGone, leaves, views };
}

const NONE: Fields = new Map();

function viewOf(field: Field, declaration: Declaration, sides: { common: Fields; mine: Fields; theirs: Fields; present: Fields }): FieldView {
  const { number } = field;
  const now = sides.present.get(number);
  // What a side does not say it has as it stands.
  const mine = sides.mine.get(number) ?? now;
  const theirs = sides.theirs.get(number) ?? now;
  const common = sides.common.get(number);
  let proposed = proposal(common, mine, theirs);
  let pieces: readonly Piece[] = [];
  if (proposed === undefined && typeof mine === "string" && typeof theirs === "string") {
    pieces = mergeText(typeof common === "string" ? common : "", mine, theirs);
    if (pieces.every((piece) => typeof piece === "string")) proposed = pieces.join("");
  }
  if (proposed !== undefined && !isAllowed(declaration, number, proposed)) proposed = undefined;
  return { field, common, mine, theirs, now: isSame(now, mine) || isSame(now, theirs) ? undefined : now, proposal: proposed, pieces };
}

/** Whether a value keeps within the field's bounds. */
export function isAllowed(declaration: Declaration, number: number, value: Value): boolean {
  try {
    prepare(declaration, 1, new Map([[number, value]]), false);
    return true;
  } catch (error) {
    if (error instanceof BadFields) return false;
    throw error;
  }
}

/** Where a choice begins: with what loses nothing of either side; without that, with nothing. */
export function firstPick({ proposal, pieces }: FieldView): Pick {
  const clashes = pieces.filter((piece) => typeof piece !== "string").map((): Taken => "");
  return { from: proposal === undefined ? "" : "merged", edited: undefined, clashes };
}

/** The merged value as it stands; undefined: something of it is still to be chosen. */
export function mergedValue({ proposal, pieces }: FieldView, { edited, clashes }: Pick): Value | undefined {
  if (edited !== undefined) return edited;
  if (proposal !== undefined || !pieces.length || clashes.includes("")) return proposal;
  let at = 0;
  return pieces
    .map((piece) => {
      if (typeof piece === "string") return piece;
      const taken = clashes[at++];
      return taken === "both" ? bothOf(piece.mine, piece.theirs) : taken === "mine" ? piece.mine : piece.theirs;
    })
    .join("");
}

/** Theirs, and behind it mine, with a space between words. */
function bothOf(mine: string, theirs: string): string {
  return !mine || !theirs || /\s$/.test(theirs) || /^\s/.test(mine) ? theirs + mine : `${theirs} ${mine}`;
}

export function chosenValue(view: FieldView, pick: Pick): Value | undefined {
  return pick.from === "merged" ? mergedValue(view, pick) : pick.from ? view[pick.from] : undefined;
}

/** What is decided by these picks; undefined: a field is not chosen yet, or holds what it may not. */
export function decisionOf({ declaration, present, leaves, views }: Case, picks: Picks): Decision | undefined {
  const chosen = views.map((view) => [view, picks.get(view.field.number) ?? firstPick(view)] as const);
  for (const side of ["mine", "theirs"] as const) if (chosen.every(([, pick]) => pick.from === side)) return { choice: side };
  const fields = new Map<number, Value>();
  for (const [view, pick] of chosen) {
    const { number } = view.field;
    const value = chosenValue(view, pick);
    // A side that does not have the field cannot be written; it stays as it is.
    if (value === undefined) {
      if (!pick.from || pick.from === "merged") return undefined;
    } else if (!isAllowed(declaration!, number, value)) return undefined;
    else if (!leaves || !isSame(value, present.get(number))) fields.set(number, value);
  }
  return fields.size ? { choice: "merged", fields } : { choice: "theirs" };
}

/** The record's fields after a decision; null: it is deleted. */
export function resultOf({ mine, theirs, present, mineGone, theirsGone, leaves }: Case, { choice, fields }: Decision): Fields | null {
  if (choice === "mine" ? mineGone : choice === "theirs" && theirsGone) return null;
  const written = choice === "mine" ? mine : choice === "merged" ? (fields ?? NONE) : leaves ? NONE : theirs;
  return new Map([...present, ...written].filter(([number]) => number !== GONE));
}
