/** Asks for mentors who fit and says of each why. Whoever is asked is asked offline, too; only the search needs the network. */
import { useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import type { MentorFound, MentorsFound } from "../../../../sdk/src/protocol";
import { useAct } from "../../act";
import { useLive } from "../../live";
import { useOnline } from "../../online";
import { Avatar } from "../../parts/avatar";
import { Field } from "../../parts/field";
import { subjectsOf } from "./subjects";
import { whyInWords } from "./why";
import { count, say } from "./words";

const COMMUNITY = 1;
const FOUND_MAX = 10;
const FACTORS = ["factor.subject", "factor.style", "factor.language", "factor.hours", "factor.zone", "factor.history"] as const;

export function Find({ client }: { client: Client }) {
  const { spaces } = useLive(client.places);
  const online = useOnline(client);
  const [subjects, setSubjects] = useState("");
  const [space, setSpace] = useState(0);
  const [found, setFound] = useState<MentorsFound | null>(null);
  const { wrong, busy, act } = useAct();
  const communities = spaces.filter(({ kind }) => kind === COMMUNITY);
  const find = (event: Event) => {
    event.preventDefault();
    void act(async () => setFound(await client.findMentors({ subjects: subjectsOf(subjects), space, limit: FOUND_MAX })));
  };
  return (
    <>
      <form class="card" onSubmit={find}>
        <Field id="mentor-subjects" label={say("find.subjects")} hint={say("find.subjectsHint")} value={subjects} onText={setSubjects} maxLength={200} dir="auto" autocomplete="off" />
        {communities.length > 0 && (
          <p class="field">
            <label for="mentor-space">{say("find.where")}</label>
            <select id="mentor-space" value={space} onChange={(event) => setSpace(Number(event.currentTarget.value))}>
              <option value={0}>{say("find.anywhere")}</option>
              {communities.map((one) => (
                <option key={one.space} value={one.space}>
                  {one.name}
                </option>
              ))}
            </select>
          </p>
        )}
        <button class="main" disabled={busy || !online}>
          {busy ? say("find.busy") : say("find.go")}
        </button>
        {!online && <p class="note" role="status">{say("find.offline")}</p>}
        {wrong && <p class="wrong" role="alert">{wrong}</p>}
      </form>
      <div aria-live="polite">{found && <Results client={client} found={found} subject={subjects} />}</div>
    </>
  );
}

function Results({ client, found, subject }: { client: Client; found: MentorsFound; subject: string }) {
  if (!found.mentors.length) return <p class="card quiet">{say("find.nobody")}</p>;
  return (
    <>
      <h2 class="mentor-count">{count("find.found", found.fitting)}</h2>
      {found.degraded && <p class="card quiet">{say("find.degraded")}</p>}
      <ol class="mentor-list">
        {found.mentors.map((one) => (
          <Fit key={one.user} client={client} mentor={one} subject={subject} />
        ))}
      </ol>
    </>
  );
}

function Fit({ client, mentor, subject }: { client: Client; mentor: MentorFound; subject: string }) {
  const { user, name, display_name: display, why, about, free, percent, factors } = mentor;
  return (
    <li class="card mentor">
      <div class="person">
        <Avatar user={user} name={display || name} />
        <div>
          <h3 dir="auto">{display || name}</h3>
          <p class="quiet">
            <bdi>@{name}</bdi> · {count("find.free", free)}
          </p>
        </div>
      </div>
      <p class="mentor-why" dir="auto">{whyInWords(why)}</p>
      {about && <p dir="auto">{about}</p>}
      <details>
        <summary>{say("find.fits", { percent })}</summary>
        <dl class="mentor-factors">
          {FACTORS.map((key, place) => (
            <div key={key}>
              <dt>{say(key)}</dt>
              <dd>{factors[place] ?? 0} %</dd>
            </div>
          ))}
        </dl>
      </details>
      <Ask client={client} mentor={mentor} subject={subject} />
    </li>
  );
}

function Ask({ client, mentor, subject }: { client: Client; mentor: MentorFound; subject: string }) {
  const [open, setOpen] = useState(false);
  const [asked, setAsked] = useState(false);
  const [what, setWhat] = useState(subjectsOf(subject)[0] ?? "");
  const [words, setWords] = useState("");
  const { wrong, busy, act } = useAct();
  const online = useOnline(client);
  if (asked) return <p class="note done" role="status">{say(online ? "ask.asked" : "ask.kept")}</p>;
  if (!open) return <button onClick={() => setOpen(true)}>{say("ask.open")}</button>;
  const ask = (event: Event) => {
    event.preventDefault();
    void act(async () => {
      const sent = client.submit({ type: "ProposeMentorship", user: mentor.user, space: mentor.space, subject: what.trim(), words: words.trim() });
      // Without a network it is kept and goes by itself; what becomes of it is told in one's notices.
      if (online) await sent;
      else sent.catch(() => undefined);
      setAsked(true);
    });
  };
  const id = `ask-${mentor.user}`;
  return (
    <form class="mentor-ask" onSubmit={ask}>
      <Field id={`${id}-what`} label={say("ask.what")} value={what} onText={setWhat} maxLength={60} dir="auto" />
      <p class="field">
        <label for={`${id}-words`}>{say("ask.words")}</label>
        <textarea id={`${id}-words`} rows={3} maxLength={500} dir="auto" value={words} onInput={(event) => setWords(event.currentTarget.value)} />
      </p>
      <button class="main" disabled={busy || !what.trim()}>{say("ask.send")}</button>
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
    </form>
  );
}
