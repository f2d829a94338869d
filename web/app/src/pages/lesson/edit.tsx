/**
 * For who writes: a lesson's name, state and sections, as records. Only what was changed is written, so two who mend different things both stay.
 *
 *     fields on the page ─ those that differ ─▶ learning.write ─▶ shown at once ─▶ the outcome: written, or it waits for a decision
 *
 * Invariant: what somebody else saved while this page was open is never written over unseen: a change says which version its writer had. Where
 * nothing was written, the page shows what stands there now.
 */
import { useEffect, useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import { Entity, LessonState, text, whole, type Learning, type Section, type Study } from "../../../../sdk/src/learning";
import type { Value } from "../../../../sdk/src/protocol";
import { Choices } from "../../parts/choices";
import { Field } from "../../parts/field";
import { Head } from "../../parts/head";
import { say } from "../lessons/words";
import { changedFields } from "./author";
import { EditFiles } from "./files";
import { FateLine, useFate } from "./fate";
import { EditQuestions } from "./questions";

const TEXT_MAX = 4000;
const STATES = [
  ["0", "edit.draft"],
  ["1", "edit.published"],
  ["2", "edit.retired"],
] as const;

interface Given {
  readonly client: Client;
  readonly space: number;
  readonly learning: Learning;
  readonly study: Study;
  readonly lesson: number;
  readonly back: string;
}

export function EditLesson({ client, space, learning, study, lesson, back }: Given) {
  const { fields, version, pending } = study.all(Entity.LESSON).get(lesson)!;
  // What this page began with: what somebody else wrote meanwhile is no change of ours.
  const [began, setBegan] = useState(fields);
  const [base, setBase] = useState(version);
  const [title, setTitle] = useState(text(fields.get(1)));
  const [summary, setSummary] = useState(text(fields.get(2)));
  const [state, setState] = useState<string>(String(whole(fields.get(8))));
  const { fate, follow } = useFate();
  const sections = study.sections(lesson);
  const now = new Map<number, Value>([[1, title.trim()], [2, summary.trim()], [8, Number(state)]]);
  useEffect(() => {
    if (pending || changedFields(began, now).size) return;
    setBegan(fields);
    setBase(version);
    setTitle(text(fields.get(1)));
    setSummary(text(fields.get(2)));
    setState(String(whole(fields.get(8))));
  }, [version, pending]);
  const save = (event: Event) => {
    event.preventDefault();
    const different = changedFields(began, now);
    if (!different.size) return;
    setBegan(new Map([...began, ...now]));
    follow(learning.write(Entity.LESSON, lesson, different, base));
  };
  const add = () => {
    const order = Math.max(0, ...sections.map((one) => one.order + 1));
    learning.write(Entity.CONTENT, learning.newKey(), new Map<number, Value>([[1, say("edit.newSection")], [3, lesson], [4, order]])).catch(() => undefined);
  };
  return (
    <>
      <Head title={say("lesson.edit")} under={text(fields.get(1))} back={back} />
      <form class="card" onSubmit={save}>
        <Field id="title" label={say("edit.title")} value={title} onText={setTitle} maxLength={120} dir="auto" autocomplete="off" />
        <Field id="summary" label={say("edit.summary")} value={summary} onText={setSummary} maxLength={1000} dir="auto" autocomplete="off" />
        <Choices name="state" legend={say("edit.state")} options={STATES.map(([value, key]) => [value, say(key)] as const)} chosen={state} onChoose={setState} />
        {Number(state) === LessonState.DRAFT && <p class="quiet">{say("edit.draftHint")}</p>}
        <FateLine fate={fate} />
        <button class="main" disabled={!title.trim()}>{say("edit.save")}</button>
      </form>
      {sections.map((section) => (
        <EditSection key={section.key} client={client} space={space} learning={learning} section={section} />
      ))}
      <p class="card-actions">
        <button onClick={add}>{say("edit.addSection")}</button>
      </p>
      <EditQuestions learning={learning} study={study} lesson={lesson} />
      <p class="card-actions">
        <a class="button" href={back}>{say("edit.read")}</a>
      </p>
    </>
  );
}

function EditSection({ client, space, learning, section }: { client: Client; space: number; learning: Learning; section: Section }) {
  const [title, setTitle] = useState(section.title);
  const [words, setWords] = useState(section.text);
  const [began, setBegan] = useState(section);
  const [base, setBase] = useState(section.version);
  const [sure, setSure] = useState(false);
  const { fate, follow } = useFate();
  const id = `section-${section.key}`;
  const different = changedFields(new Map([[1, began.title], [2, began.text]]), new Map([[1, title.trim()], [2, words]]));
  useEffect(() => {
    if (section.pending || different.size) return;
    setBegan(section);
    setBase(section.version);
    setTitle(section.title);
    setWords(section.text);
  }, [section.version, section.pending]);
  const save = (event: Event) => {
    event.preventDefault();
    if (!different.size) return;
    setBegan({ ...section, title: title.trim(), text: words });
    follow(learning.write(Entity.CONTENT, section.key, different, base));
  };
  const remove = () => {
    if (!sure) return setSure(true);
    follow(learning.erase(Entity.CONTENT, section.key));
  };
  return (
    <form class="card section-form" onSubmit={save}>
      <Field id={`${id}-title`} label={say("edit.heading")} value={title} onText={setTitle} maxLength={120} dir="auto" autocomplete="off" />
      <p class="field">
        <label for={id}>{say("edit.text")}</label>
        <textarea id={id} rows={8} value={words} maxLength={TEXT_MAX} dir="auto" aria-describedby={`${id}-hint`} onInput={(event) => setWords(event.currentTarget.value)} />
        <small id={`${id}-hint`} class="quiet">{say("edit.textHint")}</small>
      </p>
      <EditFiles
        client={client}
        community={space}
        section={section.key}
        version={section.version}
        files={section.files}
        onLeave={(files) => follow(learning.write(Entity.CONTENT, section.key, new Map<number, Value>([[5, files]]), section.version))}
      />
      <FateLine fate={fate} />
      <p class="buttons">
        <button class="main">{say("edit.save")}</button>
        <button type="button" class={sure ? "danger" : "plain"} onClick={remove}>
          {sure ? say("edit.removeSure") : say("edit.remove")}
        </button>
      </p>
    </form>
  );
}
