/** What one wants to be reminded of, and when. */
import { useEffect, useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import { Field } from "../../parts/field";
import { inWords } from "../../trouble";
import { clock, day } from "../../words";
import { book } from "./book";

interface Reminder {
  readonly id: number;
  readonly at: number;
  readonly words: string;
}

export function Reminders({ client }: { client: Client }) {
  const [known, setKnown] = useState<readonly Reminder[] | null>(null);
  const [words, setWords] = useState("");
  const [at, setAt] = useState("");
  const [wrong, setWrong] = useState("");
  const act = async (change?: () => Promise<unknown>) => {
    setWrong("");
    try {
      await change?.();
      setKnown((await client.ask<{ reminders: readonly Reminder[] }>("GET", "notices/reminders")).reminders);
    } catch (error) {
      setWrong(inWords(error));
    }
  };
  useEffect(() => void act(), [client]);
  const add = (event: Event) => {
    event.preventDefault();
    const time = new Date(at).getTime();
    if (!(time > Date.now())) return setWrong(book.say("remind.past"));
    void act(async () => {
      await client.ask("POST", "notices/reminders", { at: Math.floor(time / 1000), words: words.trim() });
      setWords("");
      setAt("");
    });
  };
  return (
    <section class="card">
      <h2>{book.say("remind.title")}</h2>
      {known?.length === 0 && <p class="quiet">{book.say("remind.none")}</p>}
      {known && known.length > 0 && (
        <ul class="rows">
          {known.map((one) => (
            <li key={one.id} class="row">
              <span class="grow">
                <span dir="auto">{one.words || "…"}</span>{" "}
                <span class="quiet">
                  {day(one.at)}, {clock(one.at)}
                </span>
              </span>
              <button aria-label={`${book.say("remind.drop")}: ${one.words}`} onClick={() => void act(() => client.ask("DELETE", `notices/reminders/${one.id}`))}>
                {book.say("remind.drop")}
              </button>
            </li>
          ))}
        </ul>
      )}
      <form class="remind" onSubmit={add}>
        <Field id="remind-words" label={book.say("remind.words")} value={words} onText={setWords} maxLength={200} dir="auto" autocomplete="off" />
        <Field id="remind-at" label={book.say("remind.at")} type="datetime-local" value={at} onText={setAt} />
        <button disabled={!words.trim() || !at}>{book.say("remind.add")}</button>
      </form>
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
    </section>
  );
}
