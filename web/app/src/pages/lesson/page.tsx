/**
 * A lesson: its sections to read, the questions at its end, and the way on. Readable without a network; how far one is, is kept at once.
 *
 *     #/lesson/<community>/<lesson>            read
 *     #/lesson/<community>/<lesson>/<section>  read from there
 *     #/lesson/<community>/<lesson>/edit       for who writes
 */
import { useEffect, useRef } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import { Entity, type Learning, type Line, type Section, type Study } from "../../../../sdk/src/learning";
import { useLive } from "../../live";
import type { PageGiven } from "../../pages";
import { Head } from "../../parts/head";
import { Icon } from "../../parts/icon";
import { toPage } from "../../place";
import { Missing } from "../../parts/missing";
import { useLearning, useSpace } from "../lessons/learning";
import { count, percent, say, standingWords } from "../lessons/words";
import { EditLesson } from "./edit";
import { LessonFiles } from "./files";
import { Text } from "./text";

/** How far reading alone leads where questions follow, and where none do: the last step is the person's own. */
const READ_PERCENT = 60;
const READ_ALL_PERCENT = 90;

export default function LessonPage({ client, id, rest }: PageGiven) {
  const space = useSpace(client, id);
  const lesson = Number(rest[0]);
  return space ? <Inside key={lesson} client={client} space={id} lesson={lesson} at={rest[1] ?? ""} /> : <Missing />;
}

function Inside({ client, space, lesson, at }: { client: Client; space: number; lesson: number; at: string }) {
  const learning = useLearning(client, space);
  const study = useLive(learning);
  const back = toPage("lessons", space);
  if (!study.all(Entity.LESSON).has(lesson)) return <NotHere learning={learning} back={back} />;
  const line = study.line(lesson);
  const of = study.lessons.get(lesson)!.course;
  if (at === "edit" && study.mayWrite) return <EditLesson client={client} space={space} learning={learning} study={study} lesson={lesson} back={toPage("lesson", space, lesson)} />;
  return (
    <>
      <Head title={line.title || say("lesson.untitled")} under={study.title(Entity.COURSE, of)} back={back}>
        {study.mayWrite && (
          <a class="icon" href={toPage("lesson", space, lesson, "edit")} aria-label={say("lesson.edit")} title={say("lesson.edit")}>
            <Icon name="edit" />
          </a>
        )}
      </Head>
      <Reading client={client} learning={learning} study={study} line={line} space={space} at={Number(at) || 0} />
    </>
  );
}

function NotHere({ learning, back }: { learning: Learning; back: string }) {
  return (
    <div class="welcome">
      <p class="quiet">{learning.kept === "unknown" ? say("lessons.opening") : learning.kept === "coming" ? say("lessons.notHere") : say("lesson.missing")}</p>
      <a class="button" href={back}>{say("lessons.title")}</a>
    </div>
  );
}

interface ReadingGiven {
  readonly client: Client;
  readonly learning: Learning;
  readonly study: Study;
  readonly line: Line;
  readonly space: number;
  /** The section to begin with; 0: the first. */
  readonly at: number;
}

function Reading({ client, learning, study, line, space, at }: ReadingGiven) {
  const sections = study.sections(line.lesson);
  const questions = study.questions(line.lesson);
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (at) place.current?.querySelector(`[data-section="${at}"]`)?.scrollIntoView();
  }, [at, sections.length > 0]);
  useReadUpTo(place, sections, (read) => {
    const whole = questions.length ? READ_PERCENT : READ_ALL_PERCENT;
    const now = Math.floor((whole * read) / sections.length);
    // Whoever looks through a draft learns nothing by it.
    const counts = learning.learns && line.standing !== "draft" && line.standing !== "retired";
    if (counts && now > study.standing.percent(line.lesson)) learning.advance(line.lesson, now).catch(() => undefined);
  });
  return (
    <div ref={place} class="reading">
      {line.summary && <p class="summary" dir="auto">{line.summary}</p>}
      <p class="quiet facts">
        {[line.minutes > 0 && count("lesson.minutes", line.minutes), questions.length > 0 && count("lesson.questions", questions.length), standingWords(line, study)].filter(Boolean).join(" · ")}
      </p>
      {line.waitsFor.length > 0 && (
        <p class="note">
          {say("lesson.before")}{" "}
          {line.waitsFor.map((key, place) => (
            <span key={key}>
              {place > 0 && ", "}
              <a href={toPage("lesson", space, key)} dir="auto">{study.title(Entity.LESSON, key)}</a>
            </span>
          ))}
        </p>
      )}
      {sections.map((section) => (
        <section key={section.key} data-section={section.key} class="lesson-section">
          {section.title && <h2 dir="auto">{section.title}</h2>}
          <Text text={section.text} />
          <LessonFiles client={client} community={space} files={section.files} />
        </section>
      ))}
      {sections.length === 0 && <p class="quiet">{say("lesson.empty")}</p>}
      <End learning={learning} line={line} space={space} questions={questions.length} />
      <Ways study={study} line={line} space={space} />
    </div>
  );
}

/** Tells how many sections have been read: a section is read when its end has been in sight. */
function useReadUpTo(place: { readonly current: HTMLElement | null }, sections: readonly Section[], tell: (read: number) => void): void {
  const said = useRef(tell);
  said.current = tell;
  const names = sections.map(({ key }) => key).join();
  useEffect(() => {
    const nodes = [...(place.current?.querySelectorAll<HTMLElement>("[data-section]") ?? [])];
    if (!nodes.length) return;
    let read = 0;
    const ends = new Map<Element, number>();
    const watch = new IntersectionObserver((seen) => {
      const far = Math.max(read, ...seen.filter((one) => one.isIntersecting).map((one) => ends.get(one.target) ?? 0));
      if (far === read) return;
      read = far;
      said.current(read);
    });
    nodes.forEach((node, n) => {
      const end = node.lastElementChild?.lastElementChild ?? node;
      ends.set(end, n + 1);
      watch.observe(end);
    });
    return () => watch.disconnect();
  }, [names]);
}

function End({ learning, line, space, questions }: { learning: Learning; line: Line; space: number; questions: number }) {
  const { lesson, checkpoint } = line;
  if (!learning.learns) return null;
  if (!questions) {
    return (
      <section class="card end">
        {line.percent >= 100 ? (
          <p>
            <Icon name="done" /> {say("lesson.done")}
          </p>
        ) : (
          <button class="main" onClick={() => void learning.advance(lesson, 100).catch(() => undefined)}>
            {say("lesson.finish")}
          </button>
        )}
        <Unsent line={line} />
      </section>
    );
  }
  const left = questions - checkpoint.graded;
  return (
    <section class="card end">
      <h2>{say("checkpoint.title")}</h2>
      <p class="quiet">
        {checkpoint.graded ? count("lesson.answered", checkpoint.graded, { of: questions }) : count("lesson.asked", questions)}
        {checkpoint.graded > 0 && ` · ${say("checkpoint.points", { percent: percent(Math.floor(checkpoint.points / checkpoint.graded)) })}`}
      </p>
      <a class="button main" href={toPage("checkpoint", space, lesson)}>
        {left === questions ? say("checkpoint.begin") : left > 0 ? say("checkpoint.goOn") : say("checkpoint.look")}
      </a>
      <Unsent line={line} />
    </section>
  );
}

function Unsent({ line }: { line: Line }) {
  return (
    <p class="quiet unsent" role="status">
      {line.pending && (
        <>
          <Icon name="clock" /> {say("lesson.unsent")}
        </>
      )}
    </p>
  );
}

/** The lessons before and after this one, in the order of its course. */
function Ways({ study, line, space }: { study: Study; line: Line; space: number }) {
  const lines = study.outline(study.lessons.get(line.lesson)!.course);
  const [before, after] = [-1, 1].map((by) => lines[lines.findIndex(({ lesson }) => lesson === line.lesson) + by]);
  if (!before && !after) return null;
  return (
    <nav class="ways" aria-label={say("lesson.ways")}>
      {before && (
        <a href={toPage("lesson", space, before.lesson)} rel="prev">
          <span class="quiet">{say("lesson.previous")}</span>
          <span dir="auto">{before.title}</span>
        </a>
      )}
      {after && (
        <a class="onward" href={toPage("lesson", space, after.lesson)} rel="next">
          <span class="quiet">{say("lesson.next")}</span>
          <span dir="auto">{after.title}</span>
        </a>
      )}
    </nav>
  );
}
