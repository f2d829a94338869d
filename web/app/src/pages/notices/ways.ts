/**
 * By which ways a notice comes, by what the person prefers: as actors/notices.py decides it.
 *
 *     rules that cover it ─▶ the narrowest (a channel before a community before everywhere, a kind before all) ─▶ ways
 *     none ─▶ the server's default
 */

/** Bits, as the server adds them. */
export const INBOX = 1;
export const WAYS = { inbox: INBOX, push: 2, mail: 4, digest: 8 } as const;
export type WayName = keyof typeof WAYS;
/** Instead of a kind: all of them. */
export const EVERY_KIND = -1;

export interface Rule {
  readonly ways: number;
  readonly kind: number;
  readonly space: number;
  readonly stream: number;
}

export interface Preferences {
  readonly rules: readonly Rule[];
  readonly previews: boolean;
  readonly digest: number;
  readonly digest_at: number;
  readonly digest_day: number;
  readonly unmailed: readonly number[];
}

export interface Preferred extends Preferences {
  readonly defaults: Readonly<Record<string, number>>;
  readonly always: readonly number[];
}

/** Everywhere, a community, or a channel in one. */
export interface Where {
  readonly space: number;
  readonly stream: number;
}

const isOf = (rule: Rule, kind: number, { space, stream }: Where) => rule.kind === kind && rule.space === space && rule.stream === stream;

/** What was said of exactly this. */
export function ruleFor(rules: readonly Rule[], kind: number, where: Where): Rule | undefined {
  return rules.find((rule) => isOf(rule, kind, where));
}

/** How a kind comes there now. */
export function waysOf({ rules, defaults }: Preferred, kind: number, { space, stream }: Where): number {
  let [narrowest, ways] = [-1, defaults[kind] ?? INBOX];
  for (const rule of rules) {
    if ((rule.kind !== EVERY_KIND && rule.kind !== kind) || (rule.stream && rule.stream !== stream) || (rule.space && rule.space !== space)) continue;
    const narrow = (rule.stream ? 4 : 0) + (rule.space ? 2 : 0) + (rule.kind === EVERY_KIND ? 0 : 1);
    if (narrow > narrowest) [narrowest, ways] = [narrow, rule.ways];
  }
  return ways && ways | INBOX;
}

/** The ways after one of them was pressed: each other way implies the inbox, and without the inbox there is none. */
export function toggled(ways: number, way: number): number {
  if (way === INBOX) return ways ? 0 : INBOX;
  const next = ways ^ way;
  return next && next | INBOX;
}

/** The rules with one in place of what was said of exactly this; `ways` null: nothing is said of it any more. */
export function withRule(rules: readonly Rule[], kind: number, where: Where, ways: number | null): readonly Rule[] {
  const others = rules.filter((rule) => !isOf(rule, kind, where));
  return ways === null ? others : [...others, { ways, kind, ...where }];
}
