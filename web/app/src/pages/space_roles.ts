/** What people are in a community, and which of it somebody may give (docs/protocol.md, "Roles"). */
import { say, type Key } from "../words";

export const COMMUNITY = 1;
export const OWNER = 1;
export const MODERATOR = 2;
const MENTOR = 4;
const LEARNER = 8;
const NAMES: Readonly<Record<number, Key>> = { [OWNER]: "role.owner", [MODERATOR]: "role.moderator", [MENTOR]: "role.mentor", [LEARNER]: "role.learner" };

export function roleName(role: number): string {
  return say(NAMES[role] ?? "role.learner");
}

/** From the one with the least power on. Whoever moderates brings in mentors and learners, an owner everybody. */
export function rolesToGive(own: number): readonly number[] {
  return own === OWNER ? [LEARNER, MENTOR, MODERATOR, OWNER] : [LEARNER, MENTOR];
}
