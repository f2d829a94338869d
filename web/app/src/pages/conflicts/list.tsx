/** What waits for a decision, oldest first; what was decided here, and can be undone; and, when it is asked for, what was decided before. */
import { useMemo, useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import type { Conflict } from "../../../../sdk/src/protocol";
import { useAct } from "../../act";
import { useLive } from "../../live";
import { Head } from "../../parts/head";
import { Icon } from "../../parts/icon";
import { toPage } from "../../place";
import { book } from "../record/book";
import { entityName, fieldName, moment, titleIn, useNaming } from "../record/naming";
import { allDecided, notes, undo, useStandings, type Standing } from "./deciding";
import { caseOf, isOpen } from "./sides";

export function Conflicts({ client }: { client: Client }) {
  const { open, decided } = useStandings(client);
  const [before, setBefore] = useState<readonly Conflict[] | null>(null);
  const { state } = useLive(client.status);
  const { act, busy, wrong } = useAct();
  const here = new Set(decided.map(({ conflict }) => conflict.conflict));
  const rest = before?.filter((one) => !here.has(one.conflict) && !open.some(({ conflict }) => conflict.conflict === one.conflict)) ?? [];
  return (
    <>
      <Head title={book.say("title")} />
      <section class="card">
        {open.length > 0 ? <h2>{book.count("list.waiting", open.length)}</h2> : <p>{book.say("list.none")}</p>}
        <ul class="rows conflicts">
          {open.map((one) => (
            <Row key={one.conflict.conflict} client={client} standing={one} />
          ))}
        </ul>
        <p class="quiet">{book.say("list.why")}</p>
      </section>
      {decided.length > 0 && (
        <section class="card">
          <h2>{book.say("list.here")}</h2>
          <ul class="rows conflicts">
            {decided.map((one) => (
              <Row key={one.conflict.conflict} client={client} standing={one} />
            ))}
          </ul>
        </section>
      )}
      <section class="card">
        <h2>{book.say("list.before")}</h2>
        {before === null ? (
          <button disabled={busy || state !== "online"} onClick={() => void act(async () => setBefore(await allDecided(client)))}>
            {book.say("list.showBefore")}
          </button>
        ) : rest.length > 0 ? (
          <ul class="rows conflicts">
            {rest.map((one) => (
              <Row key={one.conflict} client={client} standing={{ conflict: one, open: isOpen(one), waits: false, choice: one.choice }} />
            ))}
          </ul>
        ) : (
          <p class="quiet">{book.say("list.noneBefore")}</p>
        )}
        {state !== "online" && before === null && <p class="quiet">{book.say("list.away")}</p>}
        {wrong && <p class="wrong" role="alert">{wrong}</p>}
      </section>
    </>
  );
}

function Row({ client, standing }: { client: Client; standing: Standing }) {
  const { conflict, open, waits, choice } = standing;
  const { place, person, me } = useNaming(client, conflict.stream, [conflict.user, conflict.by]);
  const said = useLive(notes).get(conflict.conflict);
  const { views, mineGone, theirsGone, present, mine, theirs, common } = useMemo(() => caseOf(conflict), [conflict]);
  const fields = new Intl.ListFormat(document.documentElement.lang, { type: "conjunction" }).format(views.map(({ field }) => fieldName(field)));
  const about = mineGone || theirsGone ? book.say("list.deleted") : fields;
  return (
    <li>
      <a class="row" href={toPage("conflicts", conflict.conflict)}>
        <span class="grow">
          <strong dir="auto">{titleIn(conflict.entity, present, mine, theirs, common) || entityName(conflict.entity)}</strong>
          <span class="quiet" dir="auto">
            {book.say("list.of", { what: entityName(conflict.entity), place })}
          </span>
          <span dir="auto">{about ? book.say("list.by", { name: person(conflict.user), fields: about }) : person(conflict.user)}</span>
          <span class="quiet">{open ? book.say("list.since", { when: moment(conflict.at) }) : decidedWords(choice, conflict.by === me)}</span>
          {open && conflict.by > 0 && <span class="quiet" dir="auto">{conflict.by === me ? book.say("claim.you") : book.say("claim.by", { name: person(conflict.by) })}</span>}
          {waits && <span class="waits"><Icon name="clock" />{open ? book.say("wait.undo") : book.say("wait.decision")}</span>}
          {said && <span class="waits" role="status">{said}</span>}
        </span>
      </a>
      {!open && (
        <button class="plain" onClick={() => void undo(client, conflict)}>
          {choice ? book.say("undo") : book.say("decide.otherwise")}
        </button>
      )}
    </li>
  );
}

/** By whom and how it was decided, of `Choice`. */
export function decidedWords(choice: number, byMe: boolean): string {
  if (!choice) return book.say("decided.rule");
  const how = choice === 1 ? book.say("decided.mine") : choice === 2 ? book.say("decided.theirs") : book.say("decided.merged");
  return byMe ? book.say("decided.you", { how }) : how;
}
