/**
 * For who teaches: how learners come along, as far as mentors are told, and lessons in sums that make nobody out (docs/analytics.md). Asked of
 * the server, and kept nowhere.
 */
import { useEffect, useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import { Entity, type Study } from "../../../../sdk/src/learning";
import { useAct } from "../../act";
import { useLive } from "../../live";
import { Avatar } from "../../parts/avatar";
import { day } from "../../words";
import { count, percent, say } from "../lessons/words";
import { insightWords } from "./insights";

/** As the server tells it (docs/openapi.json). */
interface Learner {
  readonly user: number;
  readonly name: string;
  readonly begun: number;
  readonly done: number;
  readonly answered: number;
  readonly points: number | null;
  readonly last_at: number;
}

interface Noticed {
  readonly insights: readonly { readonly lesson: number; readonly words: string }[];
  readonly reasons: readonly { readonly words: string }[];
  readonly active_days: number;
}

interface QuestionSum {
  readonly question: number;
  readonly learners: number;
  readonly passed_percent: number;
  readonly failing_percent: number;
  readonly stopped_percent: number;
  readonly seconds: number;
  readonly edge_percent: number;
}

interface LessonSum {
  readonly lesson: number;
  readonly whole: QuestionSum;
  readonly questions: readonly QuestionSum[];
}

interface LessonSums {
  readonly group: number;
  readonly lessons: readonly LessonSum[];
  readonly after: number;
}

export function Teaching({ client, study, space }: { client: Client; study: Study; space: number }) {
  const { state } = useLive(client.status);
  if (state !== "online") return <p class="card quiet">{say("teaching.offline")}</p>;
  return (
    <>
      <Learners client={client} study={study} space={space} />
      {study.mayWrite && <Sums client={client} study={study} space={space} />}
    </>
  );
}

function Learners({ client, study, space }: { client: Client; study: Study; space: number }) {
  const [learners, setLearners] = useState<readonly Learner[] | null>(null);
  const [after, setAfter] = useState(0);
  const { wrong, busy, act } = useAct();
  const load = (from: number) =>
    act(async () => {
      const page = await client.ask<{ learners: readonly Learner[]; after: number }>("GET", `learning/${space}/learners?after=${from}`);
      setLearners((before) => (from ? [...(before ?? []), ...page.learners] : page.learners));
      setAfter(page.after);
    });
  useEffect(() => void load(0), [space]);
  return (
    <section class="card">
      <h2>{say("teaching.learners")}</h2>
      <p class="quiet">{say("teaching.learnersHint")}</p>
      {learners?.length === 0 && <p>{say("teaching.nobody")}</p>}
      <ul class="rows">
        {learners?.map((one) => (
          <LearnerRow key={one.user} client={client} study={study} space={space} learner={one} />
        ))}
      </ul>
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
      {after > 0 && <button disabled={busy} onClick={() => void load(after)}>{say("teaching.more")}</button>}
    </section>
  );
}

function LearnerRow({ client, study, space, learner }: { client: Client; study: Study; space: number; learner: Learner }) {
  const { user, name, begun, done, answered, points, last_at: last } = learner;
  const [noticed, setNoticed] = useState<Noticed | "notMentor" | null>(null);
  const { wrong, busy, act } = useAct();
  const look = () =>
    act(async () => {
      try {
        setNoticed(await client.ask<Noticed>("GET", `insights/${space}/learners/${user}`));
      } catch (error) {
        if ((error as { status?: number }).status !== 404) throw error;
        setNoticed("notMentor");
      }
    });
  return (
    <li class="learner">
      <div class="row">
        <Avatar user={user} name={name} />
        <span class="grow lines">
          <bdi>{name}</bdi>
          <span class="quiet">
            {count("teaching.done", done)} · {count("teaching.begun", begun)} · {count("teaching.answered", answered)}
            {points !== null && ` · ${say("teaching.points", { percent: percent(points) })}`}
            {last > 0 && ` · ${say("teaching.last", { day: day(last) })}`}
          </span>
        </span>
        {noticed === null && (
          <button class="plain" disabled={busy} aria-label={say("teaching.noticedOf", { name })} onClick={() => void look()}>
            {say("teaching.noticed")}
          </button>
        )}
      </div>
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
      {noticed !== null && (
        <div class="told quiet" role="status">
          {noticed === "notMentor" ? <p>{say("teaching.notMentor")}</p> : <Told study={study} noticed={noticed} />}
        </div>
      )}
    </li>
  );
}

/** Word for word what the learner reads. */
function Told({ study, noticed: { insights, reasons, active_days: active } }: { study: Study; noticed: Noticed }) {
  const told = insights.map(({ lesson, words }) => [study.title(Entity.LESSON, lesson), insightWords(words, lesson > 0)].filter(Boolean).join(": "));
  const all = [...new Set([...told, ...reasons.map(({ words }) => insightWords(words, false))])].filter(Boolean);
  return (
    <>
      <p>{count("teaching.activeDays", active)}</p>
      {all.length === 0 && <p>{say("teaching.noticedNone")}</p>}
      {all.map((words) => (
        <p key={words}>
          <q dir="auto">{words}</q>
        </p>
      ))}
    </>
  );
}

/** A share beyond whose edge nothing is told: "so much or more". */
function share(of: number, edge: number): string {
  if (of <= edge) return say("teaching.orLess", { percent: percent(edge) });
  return of >= 100 - edge ? say("teaching.orMore", { percent: percent(100 - edge) }) : percent(of);
}

function Sums({ client, study, space }: { client: Client; study: Study; space: number }) {
  const [sums, setSums] = useState<LessonSums | null>(null);
  const { wrong, act } = useAct();
  const month = new Date().toISOString().slice(0, 7);
  useEffect(() => {
    void act(async () => {
      try {
        setSums(await client.ask<LessonSums>("GET", `insights/${space}/lessons?month=${month}`));
      } catch (error) {
        // This community keeps no analytics.
        if ((error as { status?: number }).status !== 404) throw error;
      }
    });
  }, [space, month]);
  if (!sums && !wrong) return null;
  return (
    <section class="card">
      <h2>{say("teaching.lessons")}</h2>
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
      {sums && <p class="quiet">{count("teaching.group", sums.group)}</p>}
      {sums?.lessons.length === 0 && <p>{say("teaching.tooFew")}</p>}
      <ul class="rows">
        {sums?.lessons.map(({ lesson, whole, questions }) => (
          <li key={lesson} class="insight">
            <strong dir="auto">{study.title(Entity.LESSON, lesson)}</strong>
            <p class="quiet">
              {count("teaching.sumLearners", whole.learners)} · {say("teaching.passed", { percent: share(whole.passed_percent, whole.edge_percent) })} ·{" "}
              {say("teaching.stopped", { percent: share(whole.stopped_percent, whole.edge_percent) })}
            </p>
            {questions.length > 0 && (
              <ul>
                {questions.map((one) => (
                  <li key={one.question} class="quiet">
                    <span dir="auto">{study.question(one.question)?.prompt ?? ""}</span> {say("teaching.failing", { percent: share(one.failing_percent, one.edge_percent) })}
                  </li>
                ))}
              </ul>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
