/** What moderation holds of one's own, why, and the way to ask another person to look at it: once, with words of one's own. */
import { useEffect, useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import { HeldState, type HeldItem } from "../../../../sdk/src/protocol";
import { useAct } from "../../act";
import { useOnline } from "../../online";
import { Head } from "../../parts/head";
import { clock, day } from "../../words";
import { harm } from "./reasons";
import { say } from "./words";

const STATES = {
  [HeldState.CHECKING]: "mine.checking",
  [HeldState.WAITING]: "mine.waiting",
  [HeldState.HIDDEN]: "mine.hidden",
  [HeldState.UPHELD]: "mine.upheld",
  [HeldState.RELEASED]: "mine.released",
} as const;

export function Mine({ client }: { client: Client }) {
  const online = useOnline(client);
  const [items, setItems] = useState<readonly HeldItem[] | null>(null);
  const { wrong, act } = useAct();
  const load = () => act(async () => setItems((await client.held()).items));
  useEffect(() => {
    if (online) void load();
  }, [online]);
  return (
    <>
      <Head title={say("mine.title")} />
      {wrong && <p class="card wrong" role="alert">{wrong}</p>}
      {!items && !wrong && <p class="card quiet" role="status">{online ? say("loading") : say("offline")}</p>}
      {items?.length === 0 && <p class="card quiet">{say("mine.none")}</p>}
      <ul class="review-list">
        {items?.map((one) => (
          <li key={one.held} class="card">
            <h2>{say(STATES[one.state as keyof typeof STATES] ?? "mine.waiting")}</h2>
            <p class="quiet">
              {day(one.at)}, {clock(one.at)}
            </p>
            {one.text && <blockquote><p dir="auto">{one.text}</p></blockquote>}
            <p class="review-why">{one.reasons.map(({ harm: kind }) => harm(kind)).join(" · ")}</p>
            {(one.state === HeldState.HIDDEN || one.state === HeldState.UPHELD) && <Appeal client={client} item={one} online={online} />}
          </li>
        ))}
      </ul>
    </>
  );
}

const WORDS_MAX = 500;

function Appeal({ client, item, online }: { client: Client; item: HeldItem; online: boolean }) {
  const [open, setOpen] = useState(false);
  const [sent, setSent] = useState(item.appealed > 0);
  const [words, setWords] = useState("");
  const { wrong, busy, act } = useAct();
  if (sent) return <p class="note done" role="status">{say("mine.appealed")}</p>;
  if (!open) return <button onClick={() => setOpen(true)}>{say("mine.appeal")}</button>;
  const appeal = (event: Event) => {
    event.preventDefault();
    void act(async () => {
      const going = client.submit({ type: "Appeal", held: item.held, words: words.trim() });
      if (online) await going;
      else going.catch(() => undefined);
      setSent(true);
    });
  };
  const id = `appeal-${item.held}`;
  return (
    <form class="review-appeal" onSubmit={appeal}>
      <p class="field">
        <label for={id}>{say("mine.appealWords")}</label>
        <textarea id={id} rows={3} maxLength={WORDS_MAX} dir="auto" value={words} onInput={(event) => setWords(event.currentTarget.value)} />
      </p>
      <button class="main" disabled={busy}>{say("mine.appealSend")}</button>
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
    </form>
  );
}
