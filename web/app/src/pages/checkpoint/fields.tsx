/**
 * A question's fields, by its form: the browser's own controls, each with its name, so that key and ear are enough.
 *
 *     choice ─ radio buttons      several ─ boxes to tick      order ─ a list with "up" and "down"
 *     cloze ─ gaps in the sentence, to choose or to write in    short ─ a line to write in
 */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Form, type Question } from "../../../../sdk/src/learning";
import { say } from "../lessons/words";
import { aroundGaps, type Draft } from "./given";

const WRITTEN_MAX = 400;

interface Given {
  readonly question: Question;
  readonly draft: Draft;
  readonly onDraft: (draft: Draft) => void;
  /** It is answered. */
  readonly fixed: boolean;
}

export function QuestionFields(given: Given) {
  const { question, fixed } = given;
  const { form, options, prompt } = question;
  if (form === Form.CLOZE) return <Cloze {...given} />;
  if (form === Form.SHORT || !options.length) return <Short {...given} />;
  const hint = form === Form.SEVERAL ? say("ask.several") : form === Form.ORDER ? say("ask.order") : "";
  return (
    <fieldset class="answer" disabled={fixed}>
      <legend class="prompt" dir="auto">{prompt}</legend>
      {hint && <p class="quiet">{hint}</p>}
      {form === Form.ORDER ? <Order {...given} /> : <Options {...given} />}
    </fieldset>
  );
}

function Options({ question: { key, form, options }, draft: { choices, words }, onDraft }: Given) {
  const several = form === Form.SEVERAL;
  const turn = (place: number, on: boolean) => onDraft({ words, choices: several ? (on ? [...choices, place].sort((a, b) => a - b) : choices.filter((one) => one !== place)) : [place] });
  return (
    <ul class="options">
      {options.map((option, place) => (
        <li key={place}>
          <label class="option">
            <input type={several ? "checkbox" : "radio"} name={`question-${key}`} checked={choices.includes(place)} onChange={(event) => turn(place, event.currentTarget.checked)} />
            <span dir="auto">{option}</span>
          </label>
        </li>
      ))}
    </ul>
  );
}

/** Moved by buttons; where something is moved to is said, and the button that moved it keeps the focus. */
function Order({ question: { options }, draft: { choices, words }, onDraft, fixed }: Given) {
  const [said, setSaid] = useState("");
  const list = useRef<HTMLOListElement>(null);
  const moved = useRef("");
  useEffect(() => {
    if (!moved.current) return;
    const same = list.current?.querySelector<HTMLButtonElement>(`[data-move="${moved.current}"]`);
    // At the end there is no further that way: the other button goes on.
    (same?.disabled ? same.parentElement?.querySelector<HTMLButtonElement>("button:not(:disabled)") : same)?.focus();
    moved.current = "";
  }, [choices.join()]);
  const move = (at: number, by: -1 | 1) => {
    const next = [...choices];
    [next[at], next[at + by]] = [next[at + by]!, next[at]!];
    moved.current = `${choices[at]}${by}`;
    setSaid(say("ask.movedTo", { what: options[choices[at]!] ?? "", place: at + by + 1, of: choices.length }));
    onDraft({ words, choices: next });
  };
  const button = (at: number, by: -1 | 1, words: string, sign: string) => (
    <button type="button" class="icon" data-move={`${choices[at]}${by}`} disabled={fixed || at + by < 0 || at + by >= choices.length} aria-label={words} onClick={() => move(at, by)}>
      <span aria-hidden="true">{sign}</span>
    </button>
  );
  return (
    <>
      <ol class="order" ref={list}>
        {choices.map((option, at) => (
          <li key={option}>
            <span class="grow" dir="auto">{options[option]}</span>
            <span class="moves">
              {button(at, -1, say("ask.up", { what: options[option] ?? "" }), "↑")}
              {button(at, 1, say("ask.down", { what: options[option] ?? "" }), "↓")}
            </span>
          </li>
        ))}
      </ol>
      <p class="heard" role="status">{said}</p>
    </>
  );
}

function Cloze({ question, draft: { choices, words }, onDraft, fixed }: Given) {
  const { options } = question;
  const pieces = aroundGaps(question);
  const gaps = pieces.length - 1;
  const name = (gap: number) => say("ask.gap", { n: gap + 1, of: gaps });
  const field = (gap: number): ComponentChildren =>
    options.length ? (
      <select aria-label={name(gap)} disabled={fixed} value={choices[gap] ?? -1} onChange={(event) => onDraft({ words, choices: choices.map((one, at) => (at === gap ? Number(event.currentTarget.value) : one)) })}>
        <option value={-1}>{say("ask.choose")}</option>
        {options.map((option, place) => (
          <option key={place} value={place}>{option}</option>
        ))}
      </select>
    ) : (
      <input aria-label={name(gap)} disabled={fixed} value={words[gap] ?? ""} maxLength={WRITTEN_MAX} dir="auto" autocomplete="off" autocapitalize="none" spellcheck={false} onInput={(event) => onDraft({ choices, words: words.map((one, at) => (at === gap ? event.currentTarget.value : one)) })} />
    );
  return (
    <div class="answer" role="group" aria-label={say("ask.cloze")}>
      <p class="prompt cloze" dir="auto">
        {pieces.map((piece, at) => (
          <span key={at}>
            {piece}
            {at < gaps && field(at)}
          </span>
        ))}
      </p>
    </div>
  );
}

function Short({ question: { key, prompt }, draft: { choices, words }, onDraft, fixed }: Given) {
  return (
    <p class="answer">
      <label class="prompt" for={`question-${key}`} dir="auto">{prompt}</label>
      <input id={`question-${key}`} disabled={fixed} value={words[0] ?? ""} maxLength={WRITTEN_MAX} dir="auto" autocomplete="off" autocapitalize="none" spellcheck={false} onInput={(event) => onDraft({ choices, words: [event.currentTarget.value] })} />
    </p>
  );
}
