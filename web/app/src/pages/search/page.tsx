/**
 * Search in messages: what is found comes while one types, and each leads to its message.
 *
 *     #/search            wherever one reads
 *     #/search/3          in community 3
 *     #/search/3/words    and what was looked for, so that "back" leads to what was found
 *
 *     typed ─a pause─▶ the server, or without a network what this device keeps ─▶ shown, unless newer words were typed meanwhile
 */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import type { Found, FoundMessage } from "../../../../sdk/src/protocol";
import { network, useLive } from "../../live";
import type { PageGiven } from "../../pages";
import { Head } from "../../parts/head";
import { toPage } from "../../place";
import { inWords } from "../../trouble";
import { findHere } from "./kept_here";
import { Results } from "./results";
import { count, say } from "./words";

const PAUSE_MS = 300;
const SHORTEST = 2;
const PAGE = 20;
const WORDS_MAX = 200;
const COMMUNITY = 1;

interface Answer {
  readonly words: string;
  readonly found: readonly FoundMessage[];
  /** Where the next page begins; empty: there is none. */
  readonly next: Found["next"];
  /** It was found on this device alone. */
  readonly here: boolean;
}

export default function Search({ client, id, rest }: PageGiven) {
  const { spaces } = useLive(client.places);
  const { state } = useLive(client.status);
  const online = useLive(network) && state === "online";
  const [space, setSpace] = useState(id);
  const [typed, setTyped] = useState(() => written(rest[0]));
  const search = useSearch(client, typed.trim(), space, online);
  const field = useRef<HTMLInputElement>(null);
  const communities = spaces.filter(({ kind }) => kind === COMMUNITY);

  useEffect(() => {
    // After the frame has given the new page the focus.
    const timer = setTimeout(() => field.current?.focus());
    return () => clearTimeout(timer);
  }, []);
  useEffect(() => {
    // No step of its own: "back" leads to where one came from.
    history.replaceState(null, "", typed.trim() ? toPage("search", id, encodeURIComponent(typed.trim())) : toPage("search", id));
  }, [typed, id]);

  return (
    <>
      <Head title={say("title")} />
      <form class="card finder" role="search" onSubmit={(event) => (event.preventDefault(), search.hurry())}>
        <p class="field">
          <label for="search-words">{say("words")}</label>
          <input
            ref={field}
            id="search-words"
            type="search"
            value={typed}
            maxLength={WORDS_MAX}
            dir="auto"
            autocomplete="off"
            autocapitalize="none"
            enterKeyHint="search"
            aria-describedby="search-hint"
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
          <small id="search-hint" class="quiet">{say("hint")}</small>
        </p>
        {communities.length > 1 && (
          <p class="field">
            <label for="search-where">{say("where")}</label>
            <select id="search-where" value={space} onChange={(event) => setSpace(Number(event.currentTarget.value))}>
              <option value={0}>{say("anywhere")}</option>
              {communities.map((one) => (
                <option key={one.space} value={one.space}>
                  {one.name}
                </option>
              ))}
            </select>
          </p>
        )}
        {!online && <p class="note" role="status">{say("offline")}</p>}
      </form>
      <p class="found-count quiet" role="status">
        {search.answer ? outcome(search.answer) : search.busy ? say("busy") : ""}
      </p>
      {search.wrong && <p class="wrong" role="alert">{search.wrong}</p>}
      {search.answer && <Results client={client} found={search.answer.found} />}
      {search.answer && search.answer.next.length > 0 && (
        <button class="more-found" disabled={search.busy || !online} onClick={() => void search.more()}>
          {say("more")}
        </button>
      )}
    </>
  );
}

function outcome({ found, next, here }: Answer): string {
  if (!found.length) return say(here ? "noneHere" : "none");
  return next.length ? say("atLeast", { n: found.length }) : count("found", found.length);
}

/** What the address says; something that was never written there is nothing. */
function written(text = ""): string {
  try {
    return decodeURIComponent(text).slice(0, WORDS_MAX);
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    return "";
  }
}

/** Asks after a pause. An answer to what is wanted no longer is let go. */
function useSearch(client: Client, words: string, space: number, online: boolean) {
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState("");
  const turn = useRef(0);
  const now = useRef<() => void>(() => undefined);

  const ask = async (mine: number, before?: Answer) => {
    const isOld = () => turn.current !== mine;
    setBusy(true);
    try {
      let told: Answer;
      if (online) {
        const { messages, next } = await client.find(words, { space, limit: PAGE, ...(before && { place: before.next }) });
        told = { words, found: [...(before?.found ?? []), ...messages], next, here: false };
      } else {
        told = { words, found: await findHere(client, words, space, isOld), next: new Uint8Array(), here: true };
      }
      if (isOld()) return;
      setAnswer(told);
      setWrong("");
    } catch (error) {
      if (!isOld()) setWrong(inWords(error));
    } finally {
      if (!isOld()) setBusy(false);
    }
  };

  useEffect(() => {
    const mine = ++turn.current;
    now.current = () => undefined;
    if ([...words].length < SHORTEST) {
      setAnswer(null);
      setWrong("");
      setBusy(false);
      return;
    }
    setBusy(true);
    const timer = setTimeout(() => void ask(mine), PAUSE_MS);
    now.current = () => {
      clearTimeout(timer);
      now.current = () => undefined;
      void ask(mine);
    };
    return () => clearTimeout(timer);
  }, [words, space, online]);
  // Nobody waits for it after the page is gone.
  useEffect(() => () => void ++turn.current, []);

  return { answer, busy, wrong, hurry: () => now.current(), more: () => ask(turn.current, answer ?? undefined) };
}
