/** What the server noticed about one's learning (docs/analytics.md): what goes well first. A kind that is newer than this page is passed over. */
import { Entity, text, whole, type Study } from "../../../../sdk/src/learning";
import { toPage } from "../../place";
import { count, percent, say } from "../lessons/words";

export function insightWords(words: string, ofLesson: boolean): string {
  const [kind = "", value = "0", of = "0"] = words.split(":");
  const number = Number(value);
  if (kind === "strength") return say("insight.strength", { percent: percent(number) });
  if (kind === "stuck") return ofLesson ? count("insight.stuck", number) : count("insight.stuckLessons", number);
  if (kind === "silent") return count("insight.silent", number);
  if (kind === "fewer") return count("insight.fewer", number, { of });
  if (kind === "wrong") return say("insight.wrong", { n: value, of });
  return kind === "never" ? count("insight.never", number) : "";
}

export function Insights({ study, space }: { study: Study; space: number }) {
  const noticed = [...study.all(Entity.INSIGHT).values()]
    .map(({ key, fields }) => ({ key, kind: whole(fields.get(1)), lesson: whole(fields.get(3)), value: whole(fields.get(4)), words: insightWords(text(fields.get(5)), whole(fields.get(3)) > 0) }))
    .filter(({ words }) => words)
    .sort((a, b) => a.kind - b.kind || b.value - a.value);
  if (!noticed.length) return null;
  return (
    <section class="card">
      <h2>{say("insight.title")}</h2>
      <ul class="rows">
        {noticed.map(({ key, lesson, words }) => (
          <li key={key} class="insight">
            {lesson > 0 && study.lessons.has(lesson) && (
              <a href={toPage("lesson", space, lesson)} dir="auto">{study.title(Entity.LESSON, lesson)}</a>
            )}
            <p>{words}</p>
          </li>
        ))}
      </ul>
      <p class="quiet">{say("insight.who")}</p>
    </section>
  );
}
