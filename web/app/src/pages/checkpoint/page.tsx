/**
 * A lesson's questions, one after the other, or those that come back today. Whole without a network; there is no clock to run against.
 *
 *     #/checkpoint/<community>/<lesson>     the questions of a lesson
 *     #/checkpoint/<community>/due          questions whose time has come
 */
import { useRef, useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import { Entity, type Learning, type Study } from "../../../../sdk/src/learning";
import { useLive } from "../../live";
import type { PageGiven } from "../../pages";
import { Head } from "../../parts/head";
import { toPage } from "../../place";
import { Missing } from "../../parts/missing";
import { useLearning, useNow, useSpace } from "../lessons/learning";
import { count, fromNow, say } from "../lessons/words";
import { Ask } from "./ask";
import { Result } from "./result";

export default function CheckpointPage({ client, id, rest }: PageGiven) {
  const space = useSpace(client, id);
  return space ? <Inside key={rest[0] ?? ""} client={client} space={id} what={rest[0] ?? ""} /> : <Missing />;
}

function Inside({ client, space, what }: { client: Client; space: number; what: string }) {
  const learning = useLearning(client, space);
  const study = useLive(learning);
  // Until it is known what is here, nothing is asked: an answer that is there already would be asked for anew.
  if (learning.kept === "unknown") return <p class="welcome quiet" role="status">{say("lessons.opening")}</p>;
  if (what === "due") return <Practice learning={learning} study={study} space={space} />;
  const lesson = Number(what);
  const any = study.questions(lesson).length > 0;
  if (any && learning.learns) return <Checkpoint learning={learning} study={study} space={space} lesson={lesson} />;
  return (
    <>
      <Head title={study.title(Entity.LESSON, lesson) || say("checkpoint.title")} under={say("checkpoint.title")} back={toPage("lesson", space, lesson)} />
      <p class="card quiet">{any ? say("checkpoint.notYours") : say("checkpoint.none")}</p>
    </>
  );
}

interface Given {
  readonly learning: Learning;
  readonly study: Study;
  readonly space: number;
}

function Checkpoint({ learning, study, space, lesson }: Given & { lesson: number }) {
  const questions = study.questions(lesson);
  const answered = (place: number) => study.grades.has(questions[place]?.key ?? 0);
  const firstOpen = (from = 0) => questions.findIndex((_, place) => place >= from && !answered(place));
  /** The place of the question that is asked; -1: how it went. */
  const [at, setAt] = useState(() => firstOpen());
  /** All are asked once more, also those that were answered. */
  const [again, setAgain] = useState(false);
  const question = questions[at];
  const onward = () => {
    const next = again ? at + 1 : firstOpen(at + 1);
    if (next >= 0 && next < questions.length) return setAt(next);
    setAgain(false);
    setAt(-1);
  };
  const onAnswered = () => {
    // Through with the questions is through with the lesson; how it went says whether to come back.
    const all = questions.every((one) => one.key === question?.key || study.grades.has(one.key));
    if (all && study.standing.percent(lesson) < 100) learning.advance(lesson, 100).catch(() => undefined);
  };
  const isLast = again ? at + 1 >= questions.length : !questions.some((_, place) => place > at && !answered(place));
  return (
    <>
      <Head title={study.title(Entity.LESSON, lesson)} under={say("checkpoint.title")} back={toPage("lesson", space, lesson)} />
      {question ? (
        <>
          <Steps places={questions.map((_, place) => answered(place))} at={at} />
          <Ask
            key={`${question.key}/${again}`}
            learning={learning}
            study={study}
            question={question}
            title={say("checkpoint.question", { n: at + 1, of: questions.length })}
            onward={isLast ? say("checkpoint.toResult") : say("checkpoint.next")}
            onOnward={onward}
            onAnswered={onAnswered}
          />
          <p class="quiet calm">{say("checkpoint.noClock")}</p>
        </>
      ) : (
        <Result
          learning={learning}
          study={study}
          questions={questions}
          space={space}
          lesson={lesson}
          onAgain={(place) => {
            setAgain(place < 0);
            setAt(Math.max(0, place));
          }}
        />
      )}
    </>
  );
}

function Steps({ places, at }: { places: readonly boolean[]; at: number }) {
  return (
    <p class="steps" aria-hidden="true">
      {places.map((done, place) => (
        <span key={place} class={place === at ? "now" : done ? "done" : ""} />
      ))}
    </p>
  );
}

function Practice({ learning, study, space }: Given) {
  const now = useNow();
  // Those that are due now; what is answered goes, so the first one is always the next.
  const [asked, setAsked] = useState<number | undefined>(() => study.due(now)[0]?.question);
  const done = useRef(new Set<number>());
  const back = toPage("lessons", space);
  const question = asked === undefined ? undefined : study.question(asked);
  const left = study.due(now).filter((one) => !done.current.has(one.question));
  const onward = () => setAsked(left.find((one) => one.question !== asked)?.question);
  const later = study.cards.find(({ card }) => card.due > now);
  return (
    <>
      <Head title={say("practice.title")} under={question && study.title(Entity.LESSON, question.lesson)} back={back} />
      {question ? (
        <Ask
          key={question.key}
          learning={learning}
          study={study}
          question={question}
          title={count("practice.left", left.some((one) => one.question === asked) ? left.length : left.length + 1)}
          practice
          onward={left.some((one) => one.question !== asked) ? say("checkpoint.next") : say("practice.finish")}
          onOnward={onward}
          onAnswered={() => void done.current.add(question.key)}
        />
      ) : (
        <section class="card">
          <h2>{say("practice.none")}</h2>
          <p class="quiet">{later ? say("practice.later", { when: fromNow(later.card.due, now) }) : say("practice.how")}</p>
          <a class="button main" href={back}>{say("lessons.title")}</a>
        </section>
      )}
    </>
  );
}
