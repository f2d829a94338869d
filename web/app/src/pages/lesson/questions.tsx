/** For who writes: a lesson's questions, and new ones. The right answers of an exam go where learners do not read. */
import { useEffect, useState } from "preact/hooks";
import { Entity, Form, whole, type Learning, type Study } from "../../../../sdk/src/learning";
import type { Value } from "../../../../sdk/src/protocol";
import { Field } from "../../parts/field";
import { say } from "../lessons/words";
import { changedFields, EMPTY, kindOf, sheetOf, shownOrder, shuffled, writingOf, type Sheet } from "./author";
import { FateLine, useFate } from "./fate";

const PROMPT_MAX = 500;
const EXPLANATION_MAX = 1000;
const FORMS = [
  [Form.CHOICE, "write.choice"],
  [Form.SEVERAL, "write.several"],
  [Form.CLOZE, "write.cloze"],
  [Form.ORDER, "write.order"],
  [Form.SHORT, "write.short"],
] as const;
const HINTS = { stars: "write.starsHint", order: "write.orderHint", words: "write.wordsHint" } as const;
const WRONG = { prompt: "write.noPrompt", lines: "write.tooMany", long: "write.tooLong", key: "write.noKey", gaps: "write.gaps" } as const;

interface Given {
  readonly learning: Learning;
  readonly study: Study;
  readonly lesson: number;
}

export function EditQuestions({ learning, study, lesson }: Given) {
  /** Keys of questions that were begun here and are not written yet. */
  const [begun, setBegun] = useState<readonly number[]>([]);
  const there = study.questions(lesson).map(({ key }) => key);
  return (
    <>
      <h2 class="between">{say("checkpoint.title")}</h2>
      {[...there, ...begun.filter((key) => !there.includes(key))].map((key, place) => (
        <EditQuestion key={key} learning={learning} study={study} lesson={lesson} question={key} place={place} />
      ))}
      <p class="card-actions">
        <button onClick={() => setBegun([...begun, learning.newKey()])}>{say("write.add")}</button>
      </p>
    </>
  );
}

function EditQuestion({ learning, study, lesson, question, place }: Given & { question: number; place: number }) {
  const view = study.all(Entity.QUESTION).get(question);
  const key = study.all(Entity.ANSWER_KEY).get(question);
  // What this page began with: what somebody else wrote meanwhile is no change of ours.
  const [began, setBegan] = useState({ view, key });
  const before = began.view && sheetOf(began.view.fields, began.key?.fields);
  const [sheet, setSheet] = useState<Sheet | null>(() => (view ? sheetOf(view.fields, key?.fields) : EMPTY));
  const isTouched = JSON.stringify(sheet) !== JSON.stringify(before ?? EMPTY);
  useEffect(() => {
    if (!view || view.pending || (key?.pending ?? 0) || isTouched) return;
    setBegan({ view, key });
    setSheet(sheetOf(view.fields, key?.fields));
  }, [view?.version, key?.version, view?.pending, key?.pending]);
  const [sure, setSure] = useState(false);
  const { fate, follow, setFate } = useFate();
  const id = `question-${question}`;
  const title = say("write.title", { n: place + 1 });
  if (!sheet) {
    return (
      <section class="card">
        <h3>{title}</h3>
        <p class="quiet">{say("write.elsewhere")}</p>
      </section>
    );
  }
  const kind = kindOf(sheet.form);
  const save = (event: Event) => {
    event.preventDefault();
    if (!isTouched) return;
    // What is shuffled already stays so: an answer that is on its way was given to the options as they stand.
    const stands = before?.form === sheet.form && before.lines === sheet.lines;
    const made = writingOf(sheet, began.view && stands ? () => shownOrder(began.view!.fields, began.key?.fields) : shuffled);
    if (typeof made === "string") return setFate({ wrong: say(WRONG[made]) });
    const order = began.view ? whole(began.view.fields.get(9)) : Math.max(0, ...[...study.all(Entity.QUESTION).values()].map(({ fields }) => (fields.get(1) === lesson ? whole(fields.get(9)) + 1 : 0)));
    const now = new Map<number, Value>([...made.question, [1, lesson], [9, order]]);
    const fields = changedFields(began.view?.fields ?? new Map(), now);
    const keyed = made.key && changedFields(began.key?.fields ?? new Map(), made.key);
    const empty = { stream: 0, entity: 0, key: question, version: 0, fields: new Map(), gone: false, pending: 0 };
    setBegan({ view: { ...(began.view ?? empty), fields: now }, key: made.key ? { ...(began.key ?? empty), fields: made.key } : began.key });
    const writings = [fields.size ? learning.write(Entity.QUESTION, question, fields, began.view?.version) : null, keyed?.size ? learning.write(Entity.ANSWER_KEY, question, keyed, began.key?.version) : null];
    follow(...writings.filter((one) => one !== null));
  };
  const remove = () => {
    if (!sure) return setSure(true);
    follow(learning.erase(Entity.QUESTION, question));
  };
  return (
    <form class="card section-form" onSubmit={save}>
      <h3>{title}</h3>
      <p class="field">
        <label for={`${id}-form`}>{say("write.form")}</label>
        <select id={`${id}-form`} value={sheet.form} onChange={(event) => setSheet({ ...sheet, form: Number(event.currentTarget.value) })}>
          {FORMS.map(([form, words]) => (
            <option key={form} value={form}>{say(words)}</option>
          ))}
        </select>
      </p>
      <Field id={`${id}-prompt`} label={say("write.prompt")} hint={sheet.form === Form.CLOZE ? say("write.clozeHint") : ""} value={sheet.prompt} onText={(prompt) => setSheet({ ...sheet, prompt })} maxLength={PROMPT_MAX} dir="auto" autocomplete="off" />
      <p class="field">
        <label for={`${id}-lines`}>{kind === "words" ? say("write.words") : say("write.options")}</label>
        <textarea id={`${id}-lines`} rows={4} value={sheet.lines} dir="auto" aria-describedby={`${id}-hint`} onInput={(event) => setSheet({ ...sheet, lines: event.currentTarget.value })} />
        <small id={`${id}-hint`} class="quiet">{say(HINTS[kind])}</small>
      </p>
      <label class="check">
        <input type="checkbox" checked={sheet.exam} onChange={(event) => setSheet({ ...sheet, exam: event.currentTarget.checked })} />
        <span>{say("write.exam")}</span>
      </label>
      {!sheet.exam && <Field id={`${id}-why`} label={say("write.explanation")} value={sheet.explanation} onText={(explanation) => setSheet({ ...sheet, explanation })} maxLength={EXPLANATION_MAX} dir="auto" autocomplete="off" />}
      <FateLine fate={fate} />
      <p class="buttons">
        <button class="main">{say("edit.save")}</button>
        {view && (
          <button type="button" class={sure ? "danger" : "plain"} onClick={remove}>
            {sure ? say("write.removeSure") : say("edit.remove")}
          </button>
        )}
      </p>
    </form>
  );
}
