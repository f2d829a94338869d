/**
 * What a person does about a conflict, from the press of a button to its outcome, with or without a network.
 *
 *     listed by the server ─┐
 *     asked for by number ──┼─▶ Standing: the conflict, whether it is open, whether something of one's own about it is not sent yet
 *     one's own, unsent ────┘
 *
 * Invariant: what one decided is shown as decided at once, and as sent only when it is; a decision that did not hold is said, never swallowed.
 */
import { useEffect, useMemo, useState } from "preact/hooks";
import type { Client, Decision, Unsent } from "../../../../sdk/src/api";
import type { Conflict } from "../../../../sdk/src/protocol";
import { keep, recall } from "../../kept";
import { Cell, useLive } from "../../live";
import { inWords } from "../../trouble";
import { book } from "../record/book";
import { DECIDED, isOpen, REVIEW } from "./sides";

const PENDING = 1;
const CLAIMED = 2;
const REMEMBERED_MAX = 20;
const PAGES_MAX = 10;
/** In kept.ts this is forgotten with whoever logs out. */
const DECIDED_HERE = "decided";

export interface Standing {
  readonly conflict: Conflict;
  readonly open: boolean;
  /** Whether a decision, or its undoing, waits to be sent. */
  readonly waits: boolean;
  /** The last choice, as `Choice` has it; 0: a person made none. */
  readonly choice: number;
}

/** What is known of a conflict beside the list that was current then. */
interface Held {
  readonly conflict: Conflict;
  readonly list: readonly Conflict[];
}

const held = new Cell<ReadonlyMap<number, Held>>(new Map());
/** What became of the last step, in words; by conflict. */
export const notes = new Cell<ReadonlyMap<number, string>>(new Map());
const decidedHere = new Cell<readonly number[]>([]);
let owner = -1;

/** All of this is one person's: whoever comes next finds nothing of it. */
function ownedBy(user: number): void {
  if (user === owner) return;
  owner = user;
  const kept: unknown = JSON.parse(recall(DECIDED_HERE) || "[]");
  decidedHere.set(Array.isArray(kept) ? kept.filter((one): one is number => typeof one === "number") : []);
  held.set(new Map());
  notes.set(new Map());
}

function remember(conflict: number): void {
  decidedHere.set([conflict, ...decidedHere.value.filter((one) => one !== conflict)].slice(0, REMEMBERED_MAX));
  keep(DECIDED_HERE, JSON.stringify(decidedHere.value));
}

function hold(client: Client, conflict: Conflict): void {
  held.set(new Map([...held.value, [conflict.conflict, { conflict, list: client.conflicts.value }]]));
}

function note(conflict: number, words: string): void {
  const others = [...notes.value].filter(([one]) => one !== conflict);
  notes.set(new Map(words ? [...others, [conflict, words]] : others));
}

/** What waits for its outcome, of all that this device does. */
export function useUnsent(client: Client): readonly Unsent[] {
  const live = useMemo(() => client.unsent(), [client]);
  useEffect(() => () => live.close(), [live]);
  return useLive(live);
}

/** Of a list that the server told, and of what was asked for or decided since, whichever is newer. */
function newest(conflict: number, listed: readonly Conflict[], known: ReadonlyMap<number, Held>): Conflict | undefined {
  const [inList, apart] = [listed.find((one) => one.conflict === conflict), known.get(conflict)];
  return inList && apart?.list !== listed ? inList : (apart?.conflict ?? inList);
}

function standing(conflict: Conflict, unsent: readonly Unsent[]): Standing {
  const own = unsent.map(({ operation }) => operation).filter((one) => (one.type === "Resolve" || one.type === "Reopen") && one.conflict === conflict.conflict);
  const last = own.at(-1);
  const choice = own.reduce((before, one) => (one.type === "Resolve" ? one.choice : before), conflict.choice);
  return { conflict, open: last ? last.type === "Reopen" : isOpen(conflict), waits: own.length > 0, choice };
}

/** Every conflict that is known here: those that are open, and those that were decided on this device, the last one first. */
export function useStandings(client: Client): { readonly open: readonly Standing[]; readonly decided: readonly Standing[] } {
  ownedBy(client.me.value?.user ?? 0);
  const listed = useLive(client.conflicts);
  const known = useLive(held);
  const here = useLive(decidedHere);
  const unsent = useUnsent(client);
  const { state } = useLive(client.status);
  const numbers = [...new Set([...listed.map((one) => one.conflict), ...here, ...known.keys()])].sort((a, b) => a - b);
  const all = numbers.map((number) => newest(number, listed, known)).filter((one) => one !== undefined).map((one) => standing(one, unsent));
  const missing = here.filter((number) => !newest(number, listed, known));
  useEffect(() => {
    if (state === "online") for (const number of missing) look(client, number).catch(() => undefined);
  }, [state, missing.join()]);
  useEffect(() => {
    // Others' conflicts are told to them, not to everybody who may decide: whoever comes to decide asks. Cut off: the list is what it was.
    if (state === "online") fetchAll(client, true).catch(() => undefined);
  }, [client, state]);
  const decided = all.filter(({ open, conflict }) => !open && here.includes(conflict.conflict)).sort((a, b) => here.indexOf(a.conflict.conflict) - here.indexOf(b.conflict.conflict));
  return { open: all.filter(({ open }) => open), decided };
}

/** One conflict; undefined: not known yet; null: there is none for this person. */
export function useStanding(client: Client, number: number): Standing | null | undefined {
  ownedBy(client.me.value?.user ?? 0);
  const listed = useLive(client.conflicts);
  const known = useLive(held);
  const unsent = useUnsent(client);
  const { state } = useLive(client.status);
  const [missing, setMissing] = useState(false);
  const found = newest(number, listed, known);
  useEffect(() => {
    if (found || state !== "online") return;
    look(client, number).then((there) => setMissing(!there), () => undefined);
  }, [client, number, state, Boolean(found)]);
  return found ? standing(found, unsent) : missing ? null : undefined;
}

/** Asks the server how it stands; whether there is such a conflict. */
export async function look(client: Client, number: number): Promise<boolean> {
  const page = await client.allConflicts({ conflict: number });
  const found = page.conflicts[0];
  if (found) hold(client, found);
  return Boolean(found);
}

/** As the server has them now, as far as a few pages go. */
async function fetchAll(client: Client, open: boolean): Promise<Conflict[]> {
  const found: Conflict[] = [];
  for (let pages = 0, after = 0; pages < PAGES_MAX; pages++) {
    const page = await client.allConflicts({ after, open });
    found.push(...page.conflicts);
    after = page.conflicts.at(-1)?.conflict ?? 0;
    if (!page.more || !after) break;
  }
  const list = client.conflicts.value;
  const gone = open ? [...held.value].filter(([, { conflict }]) => !isOpen(conflict)) : [...held.value];
  held.set(new Map([...gone, ...found.map((conflict) => [conflict.conflict, { conflict, list }] as const)]));
  return found;
}

/** Every conflict that was decided, by people or by a rule, the newest first. */
export async function allDecided(client: Client): Promise<Conflict[]> {
  return (await fetchAll(client, false)).filter((one) => !isOpen(one)).reverse();
}

/** Decides. What is shown changes at once; what the server says of it is told when it does. */
export async function decide(client: Client, conflict: Conflict, decision: Decision): Promise<void> {
  const number = conflict.conflict;
  remember(number);
  hold(client, conflict);
  note(number, "");
  await said(client, number, async () => {
    const value = await client.resolve(conflict, decision);
    if (value % 8 >= REVIEW) note(number, book.say("note.changed"));
    else hold(client, { ...conflict, state: DECIDED, choice: CHOICES[decision.choice], by: client.me.value?.user ?? 0 });
  });
}

const CHOICES = { mine: 1, theirs: 2, merged: 3 } as const;

/** Takes a decision back: both sides are still there, and it is open again. */
export async function undo(client: Client, conflict: Conflict): Promise<void> {
  note(conflict.conflict, "");
  await said(client, conflict.conflict, async () => {
    await client.reopen(conflict.conflict);
    hold(client, { ...conflict, state: PENDING, by: 0 });
  });
}

/** Tells the others that one is deciding, or no longer. */
export async function claim(client: Client, conflict: Conflict, on: boolean): Promise<void> {
  await said(client, conflict.conflict, async () => {
    await client.claim(conflict.conflict, on);
    hold(client, { ...conflict, state: on ? CLAIMED : PENDING, by: on ? (client.me.value?.user ?? 0) : 0 });
  });
}

/** Does it, and says what went wrong; afterwards the conflict is as the server has it. */
async function said(client: Client, number: number, step: () => Promise<void>): Promise<void> {
  try {
    await step();
  } catch (error) {
    note(number, (error as { code?: number }).code === 24 ? book.say("note.late") : inWords(error));
    // What was refused is listed a moment later.
    await new Promise((go) => setTimeout(go));
    // A decision that was made of both stays in the list of what was not taken: its text stands nowhere else.
    const bare = client.failures.value.find(({ operation }) => "conflict" in operation && operation.conflict === number && !(operation.type === "Resolve" && operation.choice === CHOICES.merged));
    if (bare) await client.discard(bare.key);
  }
  // Without a link the list tells it later.
  await look(client, number).catch(() => undefined);
}
