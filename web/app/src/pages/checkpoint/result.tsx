/** How a checkpoint went: each question with whose grade it is, what to read again, and the way on. */
import { useEffect, useRef } from "preact/hooks";
import { Entity, type Learning, type Question, type Study } from "../../../../sdk/src/learning";
import { Icon } from "../../parts/icon";
import { toPage } from "../../place";
import { count, gradeWords, say, sourceWords } from "../lessons/words";
import { sectionFor } from "./again";

interface Given {
  readonly learning: Learning;
  readonly study: Study;
  readonly questions: readonly Question[];
  readonly space: number;
  readonly lesson: number;
  /** Answers this question again; -1: all of them. */
  readonly onAgain: (place: number) => void;
}

export function Result({ study, questions, space, lesson, onAgain }: Given) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  const grades = questions.map(({ key }) => study.grades.get(key));
  const right = grades.filter((grade) => grade?.graded?.right).length;
  const unsent = grades.filter((grade) => grade?.pending).length;
  const waiting = grades.filter((grade) => grade && !grade.graded).length;
  return (
    <>
      <section class="card result">
        <h2 ref={heading} tabIndex={-1}>{say("result.title")}</h2>
        <p>
          {count("result.right", right, { of: questions.length })} {right === questions.length ? say("result.all") : say("result.some")}
        </p>
        {waiting > 0 && <p class="quiet">{count("result.waiting", waiting)}</p>}
        <p class={unsent ? "note" : "quiet"} role="status">
          {unsent > 0 ? count("result.unsent", unsent) : say("result.sent")}
        </p>
        <ol class="rows results">
          {questions.map((question, place) => {
            const grade = grades[place];
            const mood = !grade?.graded ? "waits" : grade.graded.right ? "right" : "not-yet";
            return (
              <li key={question.key} class={`row ${mood}`}>
                <Icon name={mood === "right" ? "done" : mood === "waits" ? "clock" : "reply"} />
                <span class="grow lines">
                  <span dir="auto">{question.prompt}</span>
                  <span class="quiet">
                    {grade ? [grade.graded && gradeWords(grade.graded), sourceWords(grade)].filter(Boolean).join(" · ") : say("result.open")}
                  </span>
                </span>
                {!question.exam && (
                  <button class="plain" aria-label={say("result.againThis", { n: place + 1 })} onClick={() => onAgain(place)}>
                    {say("result.again")}
                  </button>
                )}
              </li>
            );
          })}
        </ol>
      </section>
      <ReadAgain study={study} questions={questions.filter((_, place) => grades[place]?.graded?.right === false)} space={space} lesson={lesson} />
      <p class="card-actions">
        <NextLesson study={study} space={space} lesson={lesson} />
        <a class="button" href={toPage("lesson", space, lesson)}>{say("result.lesson")}</a>
        {questions.some(({ exam }) => !exam) && <button onClick={() => onAgain(-1)}>{say("result.allAgain")}</button>}
      </p>
    </>
  );
}

/** Sections that say what was not known yet; where none stands out, the lesson, and what comes before it. */
function ReadAgain({ study, questions, space, lesson }: { study: Study; questions: readonly Question[]; space: number; lesson: number }) {
  if (!questions.length) return null;
  const all = study.sections(lesson);
  const sections = [...new Set(questions.map((question) => sectionFor(question, all)).filter((one) => one !== undefined))];
  const before = study.standing.failed(lesson) ? study.standing.sorted(study.lessons.get(lesson)?.requires ?? []) : [];
  return (
    <section class="card">
      <h2>{say("result.readAgain")}</h2>
      <ul class="rows">
        {sections.map((section) => (
          <li key={section.key}>
            <a class="row" href={toPage("lesson", space, lesson, section.key)} dir="auto">{section.title || say("result.lesson")}</a>
          </li>
        ))}
        {sections.length === 0 && (
          <li>
            <a class="row" href={toPage("lesson", space, lesson)} dir="auto">{study.title(Entity.LESSON, lesson)}</a>
          </li>
        )}
        {before.map((key) => (
          <li key={key}>
            <a class="row" href={toPage("lesson", space, key)}>
              <span>
                <span class="quiet">{say("result.before")}</span> <span dir="auto">{study.title(Entity.LESSON, key)}</span>
              </span>
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}

function NextLesson({ study, space, lesson }: { study: Study; space: number; lesson: number }) {
  const step = study.next().find((one) => one.lesson !== lesson);
  if (!step) return <a class="button main" href={toPage("lessons", space)}>{say("result.lessons")}</a>;
  return (
    <a class="button main" href={toPage("lesson", space, step.lesson)}>
      {say("result.onward")} <span dir="auto">{study.title(Entity.LESSON, step.lesson)}</span>
    </a>
  );
}
