/** The words of lessons, checkpoints and progress; and what numbers among them mean in a sentence. */
import english from "../../../messages/learning/en.json";
import type { Grade, Graded, LessonStanding, Line, Step, Study } from "../../../../sdk/src/learning";
import { Entity } from "../../../../sdk/src/learning";
import { language, openBook } from "../../words";

export const { say, count } = openBook(english, {
  es: () => import("../../../messages/learning/es.json"),
  fr: () => import("../../../messages/learning/fr.json"),
  ar: () => import("../../../messages/learning/ar.json"),
  sw: () => import("../../../messages/learning/sw.json"),
});

/** "in 3 days", "10 minutes ago": a moment as seen from now, both in Unix seconds. */
export function fromNow(at: number, now: number): string {
  const away = at - now;
  const [unit, seconds] = Math.abs(away) >= 79_200 ? (["day", 86_400] as const) : Math.abs(away) >= 3300 ? (["hour", 3600] as const) : (["minute", 60] as const);
  const whole = Math.round(away / seconds);
  return new Intl.RelativeTimeFormat(language.value, { numeric: unit === "day" ? "auto" : "always" }).format(whole || (away < 0 ? -1 : 1), unit);
}

export function percent(share: number): string {
  return new Intl.NumberFormat(language.value, { style: "percent" }).format(share / 100);
}

/** A grade by its key (docs/learning.md). */
export function gradeWords({ words }: Graded): string {
  const [kind, ...rest] = words.split(":");
  if (kind === "right") return say("grade.right");
  if (kind === "partly") return say("grade.partly", { got: rest[0] ?? "", of: rest[1] ?? "" });
  if (kind === "wrong") return say("grade.wrong");
  if (kind === "unanswered") return say("grade.unanswered");
  if (kind === "changed") return say("grade.changed", { before: rest[0] ?? "", now: gradeWords({ points: 0, right: false, words: rest.slice(1).join(":") }) });
  return say("grade.none");
}

/** Who says so, and whether it has arrived: a grade of this device alone is said to be one. */
export function sourceWords({ pending, byServer, graded }: Grade): string {
  if (pending) return say("source.notSent");
  if (byServer) return graded ? say("source.server") : say("source.noKey");
  return say("source.sent");
}

export function standingWords({ standing, percent: read, waitsFor }: Line, study: Study): string {
  if (standing === "begun") return say("standing.begun", { percent: percent(read) });
  if (standing === "closed") return say("standing.closed", { first: waitsFor.map((key) => study.title(Entity.LESSON, key)).join(", ") });
  const plain: Record<Exclude<LessonStanding, "begun" | "closed">, string> = {
    done: say("standing.done"),
    open: say("standing.open"),
    failed: say("standing.failed"),
    draft: say("standing.draft"),
    retired: say("standing.retired"),
  };
  return plain[standing];
}

/** Why a lesson comes next. */
export function whyWords({ why }: Step, study: Study): string {
  const [kind, about = ""] = why.split(":");
  const key = Number(about);
  if (kind === "continue") return say("why.continue", { percent: percent(key) });
  if (kind === "repeat") return say("why.repeat", { percent: percent(key) });
  if (kind === "prepare") return say("why.prepare", { lesson: study.title(Entity.LESSON, key) });
  if (kind === "path" || kind === "course") return say("why.follows", { title: study.title(kind === "path" ? Entity.PATH : Entity.COURSE, key) });
  return say("why.new");
}
