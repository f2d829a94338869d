/**
 * The lessons of a community in their order: what comes next, what comes back today, how far one is. All of it without a network.
 *
 *     #/lessons/<community>
 */
import { useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import { EnrolmentState, Entity, type Learning, type Line, type Study, text, whole } from "../../../../sdk/src/learning";
import { network, useLive } from "../../live";
import type { PageGiven } from "../../pages";
import { Head } from "../../parts/head";
import { Icon } from "../../parts/icon";
import { toPage, toSpace } from "../../place";
import { inWords } from "../../trouble";
import { Missing } from "../../parts/missing";
import { KeptHere } from "./kept";
import { useLearning, useNow, useSpace } from "./learning";
import { NewLesson } from "./new_lesson";
import { count, say, standingWords, whyWords } from "./words";

export default function Lessons({ client, id }: PageGiven) {
  const space = useSpace(client, id);
  return space ? <Inside client={client} id={id} name={space.name} /> : <Missing />;
}

function Inside({ client, id, name }: { client: Client; id: number; name: string }) {
  const learning = useLearning(client, id);
  const study = useLive(learning);
  const online = useLive(network);
  const courses = study.courses.map((course) => ({ course, lines: study.outline(course) })).filter(({ course, lines }) => lines.length || (course && study.mayWrite));
  const isEmpty = courses.every(({ lines }) => !lines.length);
  return (
    <>
      <Head title={say("lessons.title")} under={name} back={toSpace(id)} />
      <KeptHere client={client} learning={learning} />
      {isEmpty ? (
        <p class="card quiet">{learning.kept === "coming" ? (online ? say("lessons.coming") : say("lessons.notHere")) : learning.kept === "here" ? say("lessons.none") : say("lessons.opening")}</p>
      ) : (
        <Today study={study} space={id} />
      )}
      {courses.map(({ course, lines }) => (
        <Course key={course} learning={learning} study={study} course={course} lines={lines} space={id} alone={courses.length === 1} />
      ))}
      {study.mayWrite && <NewLesson learning={learning} study={study} space={id} />}
    </>
  );
}

/** What to do now: the next lesson, and questions whose time has come. */
function Today({ study, space }: { study: Study; space: number }) {
  const now = useNow();
  const due = study.due(now).length;
  const [step] = study.next(1);
  return (
    <section class="card today">
      <h2>{say("today.title")}</h2>
      {step ? (
        <>
          <p>
            <strong dir="auto">{study.title(Entity.LESSON, step.lesson)}</strong>
            <br />
            <span class="quiet">{whyWords(step, study)}</span>
          </p>
          <a class="button main" href={toPage("lesson", space, step.lesson)}>
            {study.standing.percent(step.lesson) ? say("today.continue") : say("today.begin")}
          </a>
        </>
      ) : (
        <p>{say("today.nothing")}</p>
      )}
      {due > 0 && (
        <a class="button" href={toPage("checkpoint", space, "due")}>
          <Icon name="clock" />
          {count("today.due", due)}
        </a>
      )}
      <a class="aside" href={toPage("progress", space)}>
        {say("today.progress")}
      </a>
    </section>
  );
}

interface CourseGiven {
  readonly learning: Learning;
  readonly study: Study;
  readonly course: number;
  readonly lines: readonly Line[];
  readonly space: number;
  /** There is no other: it needs no name of its own where it has none. */
  readonly alone: boolean;
}

function Course({ learning, study, course, lines, space, alone }: CourseGiven) {
  const fields = study.fields(Entity.COURSE, course);
  const done = lines.filter(({ standing }) => standing === "done").length;
  const title = text(fields.get(1)) || (alone ? say("lessons.title") : say("lessons.others"));
  return (
    <section class="card course">
      <div class="course-head">
        <h2 dir="auto">{title}</h2>
        {lines.length > 0 && <span class="quiet">{count("course.done", done, { of: lines.length })}</span>}
      </div>
      {text(fields.get(2)) && <p class="quiet" dir="auto">{text(fields.get(2))}</p>}
      <ol class="rows lessons">
        {lines.map((line) => (
          <li key={line.lesson}>
            <LessonRow line={line} study={study} space={space} />
          </li>
        ))}
      </ol>
      {course > 0 && learning.learns && <Follow learning={learning} study={study} of={course} />}
    </section>
  );
}

function LessonRow({ line, study, space }: { line: Line; study: Study; space: number }) {
  const { lesson, title, standing, minutes, checkpoint } = line;
  return (
    <a class={`row lesson-row is-${standing}`} href={toPage("lesson", space, lesson)}>
      <span class="far" aria-hidden="true">{standing === "done" && <Icon name="done" />}</span>
      <span class="grow lines">
        <span dir="auto">{title || say("lesson.untitled")}</span>
        <span class="quiet">
          {standingWords(line, study)}
          {standing === "open" && minutes > 0 && ` · ${count("lesson.minutes", minutes)}`}
          {checkpoint.graded > 0 && ` · ${count("lesson.answered", checkpoint.graded, { of: checkpoint.asked })}`}
        </span>
      </span>
      {line.pending && (
        <span class="unsent" title={say("source.notSent")}>
          <Icon name="clock" />
          <span class="heard">{say("source.notSent")}</span>
        </span>
      )}
    </a>
  );
}

/** Begins a course, or leaves off. Nothing is lost by either. */
function Follow({ learning, study, of }: { learning: Learning; study: Study; of: number }) {
  const [wrong, setWrong] = useState("");
  const enrolment = study.all(Entity.ENROLMENT).get(of);
  const follows = enrolment !== undefined && whole(enrolment.fields.get(5)) === EnrolmentState.ACTIVE;
  const turn = (state: number) => {
    setWrong("");
    learning.enrol(of, state).catch((error: unknown) => setWrong(inWords(error)));
  };
  return (
    <>
      <button class={follows ? "plain" : ""} onClick={() => turn(follows ? EnrolmentState.PAUSED : EnrolmentState.ACTIVE)}>
        {follows ? say("course.pause") : enrolment ? say("course.again") : say("course.follow")}
      </button>
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
    </>
  );
}
