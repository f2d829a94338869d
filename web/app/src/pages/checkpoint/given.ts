/** What somebody has chosen or written so far, and what of it is an answer. Kept on this device until it is given. */
import { useEffect, useRef, useState } from "preact/hooks";
import { askedOf, Form, type Given, type Question, type Study } from "../../../../sdk/src/learning";
import { Entity } from "../../../../sdk/src/learning";
import { keep, recall } from "../../kept";

/** `choices`: places of options: those chosen; of a cloze one a gap (-1: none yet); of an order all. `words`: one a gap, or one. */
export interface Draft {
  readonly choices: readonly number[];
  readonly words: readonly string[];
}

const GAP = /_{3,}/;

export function gapsOf({ prompt }: Question): number {
  return Math.max(1, prompt.split(GAP).length - 1);
}

/** The text around the gaps of a cloze: one piece more than there are gaps. */
export function aroundGaps({ prompt }: Question): readonly string[] {
  const pieces = prompt.split(GAP);
  return pieces.length > 1 ? pieces : [`${prompt} `, ""];
}

export function isChoosing({ form, options }: Question): boolean {
  return options.length > 0 && form !== Form.SHORT;
}

export function emptyDraft(question: Question): Draft {
  const { form, options } = question;
  if (form === Form.ORDER) return { choices: options.map((_, place) => place), words: [] };
  if (form === Form.CLOZE) return { choices: Array<number>(gapsOf(question)).fill(-1), words: Array<string>(gapsOf(question)).fill("") };
  return { choices: [], words: [""] };
}

/** The answer, or null while there is none. */
export function givenBy(question: Question, { choices, words }: Draft): Given | null {
  if (isChoosing(question)) return choices.length && choices.every((place) => place >= 0) ? { choices } : null;
  return words.some((word) => word.trim()) ? { text: words.map((word) => word.replace(/\n/g, " ").trim()).join("\n") } : null;
}

/** Right answers in words, where their key is here. */
export function solutionOf(question: Question, study: Study): readonly string[] {
  const { form, key, words, options } = askedOf(study.fields(Entity.QUESTION, question.key));
  if (isChoosing(question)) return (form === Form.SEVERAL ? [...key].sort((a, b) => a - b) : key).map((place) => options[place] ?? "");
  const plain = (word: string) => (word.split("|")[0] ?? "").replace(/^=/, "");
  return form === Form.CLOZE && gapsOf(question) > 1 ? words.map(plain) : words.slice(0, 1).map(plain);
}

/** A draft that a reload does not take away. */
export function useDraft(question: Question): [Draft, (draft: Draft) => void, () => void] {
  const name = `draft/question/${question.key}`;
  const [draft, setDraft] = useState<Draft>(() => read(name, question));
  const change = (next: Draft) => {
    setDraft(next);
    keep(name, JSON.stringify(next));
  };
  return [draft, change, () => keep(name, "")];
}

/** A question may have been revised since: what does not fit it is no draft of it. */
function read(name: string, question: Question): Draft {
  const empty = emptyDraft(question);
  try {
    const { choices, words } = JSON.parse(recall(name) || "{}") as Partial<Draft>;
    const fits = Array.isArray(choices) && Array.isArray(words) && words.length === empty.words.length && choices.every((one) => one < question.options.length);
    const whole = question.form === Form.ORDER || question.form === Form.CLOZE;
    return fits && (!whole || choices.length === empty.choices.length) ? { choices, words } : empty;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return empty;
  }
}

/** Seconds that a question was in sight. It hurries nobody: nothing is shown of it, and no answer is worth less for it. */
export function useSeconds(): () => number {
  const seen = useRef({ total: 0, since: performance.now() });
  useEffect(() => {
    const turn = () => {
      const { total, since } = seen.current;
      const hidden = document.visibilityState !== "visible";
      seen.current = { total: hidden ? total + performance.now() - since : total, since: performance.now() };
    };
    document.addEventListener("visibilitychange", turn);
    return () => document.removeEventListener("visibilitychange", turn);
  }, []);
  return () => Math.round((seen.current.total + (document.visibilityState === "visible" ? performance.now() - seen.current.since : 0)) / 1000);
}
