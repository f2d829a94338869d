/** For who writes: begins a lesson as a draft, in a course that is there or in none, and opens it. */
import { useState } from "preact/hooks";
import { Entity, LessonState, type Learning, type Study } from "../../../../sdk/src/learning";
import { Field } from "../../parts/field";
import { go, toPage } from "../../place";
import { inWords } from "../../trouble";
import { say } from "./words";

export function NewLesson({ learning, study, space }: { learning: Learning; study: Study; space: number }) {
  const [title, setTitle] = useState("");
  const [course, setCourse] = useState(0);
  const [wrong, setWrong] = useState("");
  const courses = study.courses.filter(Boolean);
  const chosen = courses.includes(course) ? course : (courses[0] ?? 0);
  const create = (event: Event) => {
    event.preventDefault();
    const key = learning.newKey();
    const order = Math.max(0, ...[...study.lessons.values()].filter((one) => one.course === chosen).map((one) => one.order + 1));
    const fields = new Map<number, string | number>([[1, title.trim()], [3, chosen], [4, order], [8, LessonState.DRAFT]]);
    learning.write(Entity.LESSON, key, fields).catch((error: unknown) => setWrong(inWords(error)));
    setTitle("");
    go(toPage("lesson", space, key, "edit"));
  };
  return (
    <section class="card">
      <h2>{say("new.title")}</h2>
      <form class="fields" onSubmit={create}>
        <Field id="lesson-title" label={say("new.name")} hint={say("new.hint")} value={title} onText={setTitle} maxLength={120} dir="auto" autocomplete="off" />
        {courses.length > 1 && (
          <p class="field">
            <label for="lesson-course">{say("new.course")}</label>
            <select id="lesson-course" value={chosen} onChange={(event) => setCourse(Number(event.currentTarget.value))}>
              {courses.map((one) => (
                <option key={one} value={one}>{study.title(Entity.COURSE, one)}</option>
              ))}
            </select>
          </p>
        )}
        {wrong && <p class="wrong" role="alert">{wrong}</p>}
        <button disabled={!title.trim()}>{say("new.create")}</button>
      </form>
    </section>
  );
}
