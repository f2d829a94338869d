/**
 * What for: one's own goal, that of each course one follows, and those that one has with a mentor. Records all of them: written without a
 * network, shown at once, sent later.
 */
import { useEffect, useMemo, useState } from "preact/hooks";
import type { Client, SpaceView } from "../../../../sdk/src/api";
import { EnrolmentState, Entity, text, whole, type Learning, type Study } from "../../../../sdk/src/learning";
import { SpaceKind, StreamKind, type Value } from "../../../../sdk/src/protocol";
import { useLive } from "../../live";
import { Field } from "../../parts/field";
import { Icon } from "../../parts/icon";
import { inWords } from "../../trouble";
import { language } from "../../words";
import { say } from "../lessons/words";

const GOAL_MAX = 500;
const STATES = ["goals.active", "goals.paused", "goals.finished", "goals.left"] as const;

export function Goals({ client, learning, study }: { client: Client; learning: Learning; study: Study }) {
  const { spaces } = useLive(client.places);
  const followed = [...study.all(Entity.ENROLMENT).values()].filter(({ key, fields }) => whole(fields.get(5)) !== EnrolmentState.LEFT && (study.all(Entity.COURSE).has(key) || study.all(Entity.PATH).has(key)));
  const own = study.all(Entity.LEARNING).get(1);
  return (
    <section class="card goals">
      <h2>{say("goals.title")}</h2>
      <p class="quiet">{say("goals.explain")}</p>
      <OneGoal name="own" label={say("goals.own")} goal={text(own?.fields.get(5))} pending={(own?.pending ?? 0) > 0} write={(goal) => learning.write(Entity.LEARNING, 1, new Map([[5, goal]]))} />
      {followed.map(({ key, fields, pending }) => {
        const title = study.title(study.all(Entity.PATH).has(key) ? Entity.PATH : Entity.COURSE, key);
        const state = whole(fields.get(5));
        return (
          <div key={key} class="goal-of">
            <h3>
              <span dir="auto">{title}</span> <span class="quiet">{say(STATES[state] ?? "goals.active")}</span>
            </h3>
            <OneGoal name={`course-${key}`} label={say("goals.course", { title })} goal={text(fields.get(4))} pending={pending > 0} write={(goal) => learning.enrol(key, state, goal)} />
            <p class="buttons">
              <Turn learning={learning} of={key} to={state === EnrolmentState.DONE ? EnrolmentState.ACTIVE : EnrolmentState.DONE} words={state === EnrolmentState.DONE ? say("goals.reopen") : say("goals.finish")} />
              {state !== EnrolmentState.DONE && <Turn learning={learning} of={key} to={state === EnrolmentState.ACTIVE ? EnrolmentState.PAUSED : EnrolmentState.ACTIVE} words={state === EnrolmentState.ACTIVE ? say("goals.pause") : say("goals.resume")} />}
              <Turn learning={learning} of={key} to={EnrolmentState.LEFT} words={say("goals.leave")} />
            </p>
          </div>
        );
      })}
      {spaces
        .filter(({ kind }) => kind === SpaceKind.MENTORSHIP)
        .map((space) => (
          <Shared key={space.space} client={client} space={space} />
        ))}
    </section>
  );
}

function Turn({ learning, of, to, words }: { learning: Learning; of: number; to: number; words: string }) {
  const [wrong, setWrong] = useState("");
  return (
    <>
      <button class="plain" onClick={() => void learning.enrol(of, to).catch((error: unknown) => setWrong(inWords(error)))}>{words}</button>
      {wrong && <span class="wrong" role="alert">{wrong}</span>}
    </>
  );
}

interface OneGiven {
  readonly name: string;
  readonly label: string;
  readonly goal: string;
  readonly pending: boolean;
  readonly write: (goal: string) => Promise<unknown>;
}

/** A goal in one's own words, to read or to change. */
function OneGoal({ name, label, goal, pending, write }: OneGiven) {
  const [draft, setDraft] = useState<string | null>(null);
  const [wrong, setWrong] = useState("");
  const save = (event: Event) => {
    event.preventDefault();
    if (draft !== null && draft.trim() !== goal) write(draft.trim()).catch((error: unknown) => setWrong(inWords(error)));
    setDraft(null);
  };
  if (draft === null) {
    return (
      <div class="goal">
        <p>
          <span class="quiet">{label}</span>
          <br />
          {goal ? <span dir="auto">{goal}</span> : <span class="quiet">{say("goals.none")}</span>}
          {pending && <NotSent />}
        </p>
        {wrong && <p class="wrong" role="alert">{wrong}</p>}
        <button class="plain" aria-label={`${goal ? say("goals.change") : say("goals.write")}: ${label}`} onClick={() => setDraft(goal)}>
          {goal ? say("goals.change") : say("goals.write")}
        </button>
      </div>
    );
  }
  return (
    <form class="fields" onSubmit={save}>
      <Field id={`goal-${name}`} label={label} value={draft} onText={setDraft} maxLength={GOAL_MAX} dir="auto" autocomplete="off" />
      <p class="buttons">
        <button class="main">{say("goals.save")}</button>
        <button type="button" class="plain" onClick={() => setDraft(null)}>{say("goals.cancel")}</button>
      </p>
    </form>
  );
}

function date(at: number): string {
  return new Intl.DateTimeFormat(language.value, { dateStyle: "long" }).format(at * 1000);
}

function NotSent() {
  return (
    <span class="unsent quiet">
      {" "}
      <Icon name="clock" /> {say("source.notSent")}
    </span>
  );
}

/** The goals of a mentorship: both of its two write them. */
function Shared({ client, space }: { client: Client; space: SpaceView }) {
  const stream = space.streams.find(({ kind }) => kind === StreamKind.MENTORSHIP);
  return stream ? <SharedGoals client={client} stream={stream.stream} mayWrite={stream.mayWrite} /> : null;
}

function SharedGoals({ client, stream, mayWrite }: { client: Client; stream: number; mayWrite: boolean }) {
  const live = useMemo(() => client.records(stream, Entity.GOAL), [client, stream]);
  useEffect(() => () => live.close(), [live]);
  const goals = useLive(live);
  const [title, setTitle] = useState("");
  const [due, setDue] = useState("");
  const [wrong, setWrong] = useState("");
  const write = (key: number, fields: ReadonlyMap<number, Value>) => void client.change(stream, Entity.GOAL, key, fields).catch((error: unknown) => setWrong(inWords(error)));
  const add = (event: Event) => {
    event.preventDefault();
    const at = due ? Math.floor(new Date(`${due}T12:00`).getTime() / 1000) : 0;
    write(client.newKey(), new Map<number, Value>([[1, title.trim()], [3, at], [4, false]]));
    setTitle("");
    setDue("");
  };
  const sorted = [...goals].sort((a, b) => Number(a.fields.get(4) === true) - Number(b.fields.get(4) === true) || (whole(a.fields.get(3)) || Infinity) - (whole(b.fields.get(3)) || Infinity));
  return (
    <div class="goal-of">
      <h3>{say("goals.shared")}</h3>
      {sorted.length === 0 && <p class="quiet">{say("goals.sharedNone")}</p>}
      <ul class="rows">
        {sorted.map(({ key, fields, pending }) => (
          <li key={key} class="row">
            <label class="grow check">
              <input type="checkbox" disabled={!mayWrite} checked={fields.get(4) === true} onChange={(event) => write(key, new Map([[4, event.currentTarget.checked]]))} />
              <span>
                <span dir="auto">{text(fields.get(1))}</span>
                {whole(fields.get(3)) > 0 && <span class="quiet"> {say("goals.until", { day: date(whole(fields.get(3))) })}</span>}
                {pending > 0 && <NotSent />}
              </span>
            </label>
            {mayWrite && (
              <button class="icon" aria-label={say("goals.remove", { goal: text(fields.get(1)) })} onClick={() => void client.erase(stream, Entity.GOAL, key).catch((error: unknown) => setWrong(inWords(error)))}>
                <Icon name="remove" />
              </button>
            )}
          </li>
        ))}
      </ul>
      {mayWrite && (
        <form class="fields" onSubmit={add}>
          <Field id={`goal-new-${stream}`} label={say("goals.new")} value={title} onText={setTitle} maxLength={120} dir="auto" autocomplete="off" />
          <Field id={`goal-due-${stream}`} label={say("goals.due")} type="date" value={due} onText={setDue} />
          <button disabled={!title.trim()}>{say("goals.add")}</button>
        </form>
      )}
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
    </div>
  );
}
