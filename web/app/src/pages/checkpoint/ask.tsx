/**
 * One question: asked, answered, graded at once where its key is on this device, kept, and sent when there is a network.
 *
 * Invariant: what was answered is kept before anything is said about it; whose grade it is, and that it is not sent, is always said.
 */
import { useEffect, useRef, useState } from "preact/hooks";
import { Rating, type Given, type Judged, type Learning, type Question, type Study } from "../../../../sdk/src/learning";
import { Icon } from "../../parts/icon";
import { inWords } from "../../trouble";
import { fromNow, gradeWords, say, sourceWords } from "../lessons/words";
import { QuestionFields } from "./fields";
import { givenBy, solutionOf, useDraft, useSeconds } from "./given";

interface AskGiven {
  readonly learning: Learning;
  readonly study: Study;
  readonly question: Question;
  readonly title: string;
  /** The words of the way on, and where it leads. */
  readonly onward: string;
  readonly onOnward: () => void;
  /** It comes again because its time has come: then one may say how well one knew it. */
  readonly practice?: boolean;
  /** Once it is answered. */
  readonly onAnswered?: () => void;
}

const KNOWN = [
  [0, "known.by"],
  [Rating.HARD, "known.hard"],
  [Rating.GOOD, "known.good"],
  [Rating.EASY, "known.easy"],
] as const;

export function Ask(given: AskGiven) {
  const { learning, question, title, practice = false, onAnswered } = given;
  const [draft, setDraft, clear] = useDraft(question);
  const [known, setKnown] = useState(0);
  const [judged, setJudged] = useState<Judged | null>(null);
  const [wrong, setWrong] = useState("");
  const heading = useRef<HTMLHeadingElement>(null);
  const seconds = useSeconds();
  useEffect(() => heading.current?.focus(), []);

  const answer = (event: Event) => {
    event.preventDefault();
    const found: Given | null = givenBy(question, draft);
    if (!found) return setWrong(say("ask.nothing"));
    if (practice && question.exam && !known) return setWrong(say("known.needed"));
    setWrong("");
    const answered = { ...found, seconds: seconds() };
    const made = practice ? learning.review(question.key, answered, known) : learning.take(question.key, answered);
    made.outcome.catch((error: unknown) => setWrong(inWords(error)));
    clear();
    setJudged(made);
    onAnswered?.();
  };

  return (
    <form class="card asking" onSubmit={answer} noValidate>
      <h2 ref={heading} tabIndex={-1}>{title}</h2>
      {question.exam && <p class="note">{say("ask.exam")}</p>}
      <QuestionFields question={question} draft={draft} onDraft={setDraft} fixed={judged !== null} />
      {practice && !judged && (
        <fieldset class="choices known">
          <legend>{say("known.title")}</legend>
          {KNOWN.filter(([rating]) => rating || !question.exam).map(([rating, key]) => (
            <label key={rating}>
              <input type="radio" name="known" checked={known === rating} onChange={() => setKnown(rating)} />
              <span>{say(key)}</span>
            </label>
          ))}
        </fieldset>
      )}
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
      {judged ? <Judgement {...given} judged={judged} onAgain={() => setJudged(null)} /> : <button class="main">{question.exam ? say("ask.handIn") : say("ask.check")}</button>}
    </form>
  );
}

interface JudgementGiven extends AskGiven {
  readonly judged: Judged;
  readonly onAgain: () => void;
}

function Judgement({ study, question, judged: { graded, card }, onAgain, onward, onOnward, practice = false }: JudgementGiven) {
  const box = useRef<HTMLDivElement>(null);
  const [shown, setShown] = useState(false);
  useEffect(() => box.current?.focus(), []);
  const grade = study.grades.get(question.key);
  const mood = !graded ? "waits" : graded.right ? "right" : graded.points > 0 ? "partly" : "not-yet";
  const now = Math.floor(Date.now() / 1000);
  return (
    <>
      <div ref={box} class={`judgement ${mood}`} tabIndex={-1} role="group" aria-label={say("ask.result")}>
        <p class="verdict">
          <Icon name={mood === "right" ? "done" : mood === "waits" ? "clock" : "reply"} />
          <strong>{graded ? gradeWords(graded) : say("ask.kept")}</strong>
        </p>
        {question.explanation && <p dir="auto">{question.explanation}</p>}
        {shown && (
          <p>
            {say("ask.solution")} <span dir="auto">{solutionOf(question, study).join(" · ")}</span>
          </p>
        )}
        {card && (practice || !graded?.right) && <p class="quiet">{say("ask.comesAgain", { when: fromNow(card.due, now) })}</p>}
        <p class="quiet" role="status">
          {grade?.pending && <Icon name="clock" />} {grade && sourceWords(grade)}
        </p>
      </div>
      <p class="buttons">
        <button type="button" class="main" onClick={onOnward}>{onward}</button>
        {graded && !graded.right && (
          <>
            {!practice && <button type="button" onClick={onAgain}>{say("ask.again")}</button>}
            {!shown && <button type="button" class="plain" onClick={() => setShown(true)}>{say("ask.showSolution")}</button>}
          </>
        )}
      </p>
    </>
  );
}
