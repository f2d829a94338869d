/** What one is sure of, lesson by lesson, in words: from one's answers, and how likely what was practised is still known today. */
import { Entity, recall, type Line, type Study } from "../../../../sdk/src/learning";
import { toPage } from "../../place";
import { useNow } from "../lessons/learning";
import { count, percent, say } from "../lessons/words";

const SURE_POINTS = 90;
/** Of a lesson whose questions come again: below it they are likely to be forgotten by now. */
const KNOWN_SHARE = 0.8;

type Mastery = "sure" | "well" | "fading" | "shaky" | "reading" | "new";

/** One lesson's: points of its questions, and for those that come again how likely they are known. */
function masteryOf(line: Line, study: Study, now: number): Mastery {
  const { checkpoint, percent: read } = line;
  if (!checkpoint.graded) return read > 0 ? "reading" : "new";
  const points = checkpoint.points / checkpoint.graded;
  const cards = study.cards.filter(({ lesson }) => lesson === line.lesson);
  const known = cards.reduce((sum, { card }) => sum + recall(card, now), 0) / (cards.length || 1);
  if (points < 60) return "shaky";
  if (cards.length && known < KNOWN_SHARE) return "fading";
  return points >= SURE_POINTS && checkpoint.graded >= checkpoint.asked ? "sure" : "well";
}

export function Mastery({ study, space }: { study: Study; space: number }) {
  const now = useNow();
  const courses = study.courses.map((course) => ({ course, lines: study.outline(course).filter(({ standing }) => standing !== "draft") })).filter(({ lines }) => lines.length);
  return (
    <section class="card">
      <h2>{say("mastery.title")}</h2>
      <p class="quiet">{say("mastery.explain")}</p>
      {courses.length === 0 && <p>{say("lessons.none")}</p>}
      {courses.map(({ course, lines }) => {
        const made = lines.map((line) => ({ line, mastery: masteryOf(line, study, now) }));
        const sure = made.filter(({ mastery }) => mastery === "sure").length;
        return (
          <div key={course} class="mastery">
            <h3 dir="auto">{study.title(Entity.COURSE, course) || say("lessons.others")}</h3>
            <p class="quiet">{count("mastery.sure", sure, { of: lines.length })}</p>
            <ul class="rows">
              {made.map(({ line, mastery }) => (
                <li key={line.lesson}>
                  <a class="row" href={toPage("lesson", space, line.lesson)}>
                    <span class={`level is-${mastery}`} aria-hidden="true" />
                    <span class="grow lines">
                      <span dir="auto">{line.title}</span>
                      <span class="quiet">
                        {say(mastery === "sure" ? "mastery.certain" : `mastery.${mastery}`)}
                        {line.checkpoint.graded > 0 && ` · ${say("checkpoint.points", { percent: percent(Math.floor(line.checkpoint.points / line.checkpoint.graded)) })}`}
                        {line.pending && ` · ${say("source.notSent")}`}
                      </span>
                    </span>
                  </a>
                </li>
              ))}
            </ul>
          </div>
        );
      })}
    </section>
  );
}
