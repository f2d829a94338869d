/** On which of the last two weeks' days one answered something, as far as this device knows. A break is a break, and takes nothing away. */
import { Entity, whole, type Study } from "../../../../sdk/src/learning";
import { language } from "../../words";
import { useNow } from "../lessons/learning";
import { count, say } from "../lessons/words";

const DAYS = 14;

/** Days as they begin here, newest last, in milliseconds. */
function lastDays(now: number): number[] {
  const today = new Date(now * 1000);
  return Array.from({ length: DAYS }, (_, place) => new Date(today.getFullYear(), today.getMonth(), today.getDate() - (DAYS - 1 - place)).getTime());
}

/** Moments at which something was answered: each question's last grade and last review; what is not sent yet was today, or lately. */
function moments(study: Study, now: number): number[] {
  const graded = [...study.all(Entity.GRADE).values()].map(({ fields }) => whole(fields.get(6)));
  const reviewed = study.cards.map(({ card }) => card.last);
  const unsent = [...study.grades.values()].some(({ pending }) => pending) ? [now] : [];
  return [...graded, ...reviewed, ...unsent].filter(Boolean);
}

export function Days({ study }: { study: Study }) {
  const now = useNow();
  const days = lastDays(now);
  const active = new Set(moments(study, now).map((at) => days.filter((start) => start <= at * 1000).length - 1).filter((place) => place >= 0));
  const name = new Intl.DateTimeFormat(language.value, { weekday: "narrow" });
  return (
    <section class="card">
      <h2>{say("days.title")}</h2>
      <p>{active.size ? count("days.active", active.size) : say("days.none")}</p>
      <p class="days" aria-hidden="true">
        {days.map((start, place) => (
          <span key={start} class={active.has(place) ? "active" : ""}>
            {name.format(start)}
          </span>
        ))}
      </p>
      <p class="quiet">{say("days.explain")}</p>
    </section>
  );
}
