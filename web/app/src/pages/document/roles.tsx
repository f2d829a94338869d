/** Who may do something in a document, as three circles of people. */
import { Choices } from "../../parts/choices";
import { book } from "./words";

const { say } = book;

/** Sums of roles: owner 1, moderator 2, mentor 4, learner 8. */
export const EVERYBODY = 15;
const MENTORS = 7;
const LEADERS = 3;

export function Circle({ name, legend, chosen, most = EVERYBODY, onChoose }: { name: string; legend: string; chosen: number; most?: number; onChoose: (roles: number) => void }) {
  const circles: readonly (readonly [string, string])[] = [
    [String(EVERYBODY), say("everybody")],
    [String(MENTORS), say("mentors")],
    [String(LEADERS), say("leaders")],
  ];
  const shown = circles.filter(([roles]) => Number(roles) <= most);
  return <Choices name={name} legend={legend} options={shown} chosen={String(chosen)} onChoose={(roles) => onChoose(Number(roles))} />;
}
