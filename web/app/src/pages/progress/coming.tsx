/** Questions that come again: those whose time has come, and the others. */
import { useState } from "preact/hooks";
import type { Due, Learning, Study } from "../../../../sdk/src/learning";
import { toPage } from "../../place";
import { inWords } from "../../trouble";
import { useNow } from "../lessons/learning";
import { count, fromNow, say } from "../lessons/words";

export function Coming({ learning, study, space }: { learning: Learning; study: Study; space: number }) {
  const now = useNow();
  const due = study.due(now);
  const later = study.cards.filter(({ card }) => card.due > now);
  return (
    <section class="card">
      <h2>{say("coming.title")}</h2>
      {due.length > 0 ? (
        <>
          <p>{count("coming.due", due.length)}</p>
          <a class="button main" href={toPage("checkpoint", space, "due")}>{say("coming.practise")}</a>
        </>
      ) : (
        <p>{later[0] ? say("coming.next", { when: fromNow(later[0].card.due, now) }) : say("coming.none")}</p>
      )}
      {study.cards.length > 0 && (
        <details>
          <summary>{count("coming.all", study.cards.length)}</summary>
          <ul class="rows">
            {study.cards.map((one) => (
              <CardRow key={one.question} learning={learning} study={study} due={one} now={now} />
            ))}
          </ul>
        </details>
      )}
    </section>
  );
}

function CardRow({ learning, study, due: { question, card }, now }: { learning: Learning; study: Study; due: Due; now: number }) {
  const [wrong, setWrong] = useState("");
  const prompt = study.question(question)?.prompt ?? "";
  const forget = () => void learning.forget(question).catch((error: unknown) => setWrong(inWords(error)));
  return (
    <li class="row">
      <span class="grow lines">
        <span dir="auto">{prompt}</span>
        <span class="quiet">{card.due <= now ? say("coming.now") : fromNow(card.due, now)}</span>
        {wrong && <span class="wrong" role="alert">{wrong}</span>}
      </span>
      <button class="plain" aria-label={say("coming.forgetThis", { question: prompt })} onClick={forget}>{say("coming.forget")}</button>
    </li>
  );
}
