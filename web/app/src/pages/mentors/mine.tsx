/** Proposals and mentorships of one's own: what waits for whom, what may be done, and how it ended. */
import { useEffect, useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import { MentorshipState, type MentorshipItem, type Operation } from "../../../../sdk/src/protocol";
import { useAct } from "../../act";
import { useLive } from "../../live";
import { Choices } from "../../parts/choices";
import { toChannel } from "../../place";
import { day } from "../../words";
import { say } from "./words";

const STATES = {
  [MentorshipState.PROPOSED]: "state.proposed",
  [MentorshipState.ACTIVE]: "state.active",
  [MentorshipState.DECLINED]: "state.declined",
  [MentorshipState.WITHDRAWN]: "state.withdrawn",
  [MentorshipState.LAPSED]: "state.lapsed",
  [MentorshipState.ENDED]: "state.ended",
  [MentorshipState.BROKEN_OFF]: "state.brokenOff",
} as const;
const PAGES_MAX = 5;
const RATINGS = ["1", "2", "3", "4", "5"] as const;

export function Mine({ client }: { client: Client }) {
  const [items, setItems] = useState<readonly MentorshipItem[] | null>(null);
  const { state } = useLive(client.status);
  const notices = useLive(client.notices);
  const { wrong, busy, act } = useAct();
  const load = () =>
    act(async () => {
      const all: MentorshipItem[] = [];
      for (let n = 0; n < PAGES_MAX; n++) {
        const page = await client.mentorships(all.at(-1)?.mentorship ?? 0);
        all.push(...page.mentorships);
        if (!page.more) break;
      }
      setItems(all.reverse());
    });
  useEffect(() => {
    // Each change of a mentorship is a notice, too.
    if (state === "online") void load();
  }, [state, notices.length]);
  if (!items) return <p class="card quiet" role="status">{wrong || (state === "online" || busy ? say("mine.loading") : say("mine.offline"))}</p>;
  if (!items.length) return <p class="card quiet">{say("mine.none")}</p>;
  return (
    <>
      {wrong && <p class="card wrong" role="alert">{wrong}</p>}
      <ul class="mentor-list">
        {items.map((one) => (
          <Item key={one.mentorship} client={client} item={one} online={state === "online"} onDone={load} />
        ))}
      </ul>
    </>
  );
}

interface ItemGiven {
  readonly client: Client;
  readonly item: MentorshipItem;
  readonly online: boolean;
  readonly onDone: () => Promise<void>;
}

function Item({ client, item, online, onDone }: ItemGiven) {
  const me = useLive(client.me);
  const [ending, setEnding] = useState(false);
  const [kept, setKept] = useState(false);
  const { wrong, busy, act } = useAct();
  const mentoring = me?.user === item.mentor;
  const does = (operation: Operation) =>
    act(async () => {
      const sent = client.submit(operation);
      if (!online) {
        sent.catch(() => undefined);
        return setKept(true);
      }
      await sent;
      await onDone();
    });
  const { mentorship, state, conversation, said, other_said: otherSaid } = item;
  const key = STATES[state as keyof typeof STATES];
  return (
    <li class="card">
      <h2 dir="auto">{item.other_name}</h2>
      <p class="quiet">
        {mentoring ? say("mine.youMentor") : say("mine.youLearn")} · <span dir="auto">{item.subject}</span> · {day(item.at)}
      </p>
      <p>{key ? say(key) : ""}</p>
      {item.words && <blockquote><p dir="auto">{item.words}</p></blockquote>}
      {said && state === MentorshipState.ACTIVE && <p class="quiet">{say("mine.youSaid")}</p>}
      {otherSaid && !said && state === MentorshipState.ACTIVE && <p class="quiet">{say("mine.otherSaid")}</p>}
      <p class="mentor-acts">
        {conversation > 0 && (
          <a class="button" href={toChannel(conversation)}>{say("mine.talk")}</a>
        )}
        {state === MentorshipState.PROPOSED && mentoring && !kept && (
          <>
            <button class="main" disabled={busy} onClick={() => void does({ type: "AnswerMentorship", mentorship, accept: true })}>{say("mine.accept")}</button>
            <button disabled={busy} onClick={() => void does({ type: "AnswerMentorship", mentorship, accept: false })}>{say("mine.decline")}</button>
          </>
        )}
        {state === MentorshipState.PROPOSED && !mentoring && !kept && (
          <button disabled={busy} onClick={() => void does({ type: "WithdrawProposal", mentorship })}>{say("mine.withdraw")}</button>
        )}
        {state === MentorshipState.ACTIVE && !said && !ending && !kept && <button onClick={() => setEnding(true)}>{say("mine.end")}</button>}
      </p>
      {kept && <p class="note done" role="status">{say("mine.kept")}</p>}
      {ending && !kept && <End busy={busy} name={`end-${mentorship}`} onEnd={(how) => void does({ type: "EndMentorship", mentorship, ...how })} />}
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
    </li>
  );
}

interface How {
  readonly reached: boolean;
  readonly rating: number;
  readonly words: string;
}

function End({ busy, name, onEnd }: { busy: boolean; name: string; onEnd: (how: How) => void }) {
  const [reached, setReached] = useState<"yes" | "no">("yes");
  const [rating, setRating] = useState<(typeof RATINGS)[number]>("4");
  const [words, setWords] = useState("");
  const end = (event: Event) => {
    event.preventDefault();
    onEnd({ reached: reached === "yes", rating: Number(rating), words: words.trim() });
  };
  return (
    <form class="mentor-ask" onSubmit={end}>
      <Choices name={`${name}-reached`} legend={say("end.reached")} options={[["yes", say("end.yes")], ["no", say("end.no")]]} chosen={reached} onChoose={setReached} />
      <Choices name={`${name}-rating`} legend={say("end.rating")} options={RATINGS.map((one) => [one, one] as const)} chosen={rating} onChoose={setRating} />
      <p class="field">
        <label for={`${name}-words`}>{say("end.words")}</label>
        <textarea id={`${name}-words`} rows={3} maxLength={500} dir="auto" value={words} onInput={(event) => setWords(event.currentTarget.value)} />
      </p>
      <p class="quiet">{say("end.private")}</p>
      <button class="main" disabled={busy}>{say("mine.end")}</button>
    </form>
  );
}
