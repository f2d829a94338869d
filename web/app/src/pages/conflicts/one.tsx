/**
 * One conflict: who changed what, both sides of each field beside each other, what it becomes, and the decision, which can be taken back.
 *
 * Nothing here waits for the network: a decision is kept and shown at once, and said to be on its way until it has arrived.
 */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import type { Conflict, Fields } from "../../../../sdk/src/protocol";
import { entities } from "../../../../sdk/src/records";
import { useLive } from "../../live";
import { Head } from "../../parts/head";
import { Icon } from "../../parts/icon";
import { toPage } from "../../place";
import { say } from "../../words";
import { book } from "../record/book";
import { entityName, fieldName, moment, Shown, titleIn, useNaming } from "../record/naming";
import { FieldChoice } from "./choice";
import { claim, decide, notes, undo, useStanding, type Standing } from "./deciding";
import { decidedWords } from "./list";
import { caseOf, chosenValue, decisionOf, firstPick, resultOf, type Case, type Pick, type Picks } from "./sides";

export function OneConflict({ client, number }: { client: Client; number: number }) {
  const standing = useStanding(client, number);
  const { state } = useLive(client.status);
  if (!standing) {
    const words = standing === null ? say("space.missing") : state === "online" ? say("talk.loading") : book.say("one.away");
    return (
      <>
        <Head title={book.say("title")} />
        <p class="card" role="status">{words}</p>
        <Back />
      </>
    );
  }
  return <Known client={client} standing={standing} />;
}

function Known({ client, standing }: { client: Client; standing: Standing }) {
  const { conflict, open } = standing;
  const kase = useMemo(() => caseOf(conflict), [conflict]);
  const { place } = useNaming(client, conflict.stream, [conflict.user, conflict.by]);
  const title = titleIn(conflict.entity, kase.present, kase.mine, kase.theirs, kase.common);
  // Whatever changes it at the server begins the choice anew; a claim does not.
  return (
    <>
      <Head title={title || entityName(conflict.entity)} under={book.say("list.of", { what: entityName(conflict.entity), place })} />
      <About client={client} standing={standing} kase={kase} />
      {open && <Choosing key={`${conflict.version}/${conflict.choice}/${conflict.mine.length}`} client={client} conflict={conflict} kase={kase} />}
      <Back />
    </>
  );
}

function Back() {
  return (
    <p class="foot">
      <a href={toPage("conflicts")}>{book.say("one.all")}</a>
    </p>
  );
}

/** The labels of both sides: whose they are. */
function useSides(client: Client, conflict: Conflict, leaves: boolean) {
  const { person, me } = useNaming(client, conflict.stream, [conflict.user, conflict.by]);
  const isMine = conflict.user === me;
  return {
    me,
    person,
    isMine,
    mine: isMine ? book.say("side.mine") : book.say("side.of", { name: person(conflict.user) }),
    theirs: leaves ? book.say("side.stands") : book.say("side.stood"),
    takeMine: isMine ? book.say("all.mine") : book.say("all.of", { name: person(conflict.user) }),
    takeTheirs: leaves ? book.say("all.stands") : book.say("all.stood"),
  };
}

function About({ client, standing, kase }: { client: Client; standing: Standing; kase: Case }) {
  const { conflict, open, waits, choice } = standing;
  const { me, person, isMine } = useSides(client, conflict, kase.leaves);
  const said = useLive(notes).get(conflict.conflict);
  const box = useRef<HTMLElement>(null);
  const was = useRef(open);
  useEffect(() => {
    // Whoever has just decided, or taken that back, goes on from what is said of it.
    if (was.current !== open) box.current?.focus();
    was.current = open;
  }, [open]);
  const claimed = conflict.by > 0 && open;
  return (
    <section ref={box} class="card about" tabIndex={-1} aria-label={book.say("one.about")}>
      <p>{isMine ? book.say("one.youAnd") : book.say("one.theyAnd", { name: person(conflict.user) })}</p>
      <p class="quiet">{open ? book.say("list.since", { when: moment(conflict.at) }) : book.say("one.was", { when: moment(conflict.at) })}</p>
      {said && <p class="note" role="alert">{said}</p>}
      {open ? (
        <>
          {choice > 0 && <p class="quiet">{book.say("decided.last", { how: decidedWords(choice, false) })}</p>}
          {waits && <p class="waits" role="status"><Icon name="clock" />{book.say("wait.undo")}</p>}
          <p class="claim" role="status">
            {claimed && <span dir="auto">{conflict.by === me ? book.say("claim.you") : book.say("claim.by", { name: person(conflict.by) })}</span>}
            {conflict.by === me && claimed ? (
              <button class="plain" onClick={() => void claim(client, conflict, false)}>{book.say("claim.back")}</button>
            ) : (
              <button class="plain" onClick={() => void claim(client, conflict, true)}>{book.say("claim.take")}</button>
            )}
          </p>
        </>
      ) : (
        <>
          <p class="note done" role="status">
            {decidedWords(choice, conflict.by === me && !waits)}
          </p>
          {waits && <p class="waits"><Icon name="clock" />{book.say("wait.decision")}</p>}
          {!waits && <Record client={client} conflict={conflict} fields={kase.present} open={false} />}
          <button onClick={() => void undo(client, conflict)}>{choice ? book.say("undo") : book.say("decide.otherwise")}</button>
        </>
      )}
      <a href={toPage("record", conflict.stream, conflict.entity, conflict.key)}>{book.say("record.versions")}</a>
    </section>
  );
}

function Choosing({ client, conflict, kase }: { client: Client; conflict: Conflict; kase: Case }) {
  const sides = useSides(client, conflict, kase.leaves);
  const [picks, setPicks] = useState<Picks>(() => new Map(kase.views.map((view) => [view.field.number, firstPick(view)])));
  const decision = kase.mineGone || kase.theirsGone ? undefined : decisionOf(kase, picks);
  const all = (choice: "mine" | "theirs") => void decide(client, conflict, { choice });
  const set = (number: number, pick: Pick) => setPicks((before) => new Map([...before, [number, pick]]));
  if (!kase.declaration) return <p class="card">{book.say("one.tooNew")}</p>;
  const missing = kase.views.filter((view) => chosenValue(view, picks.get(view.field.number)!) === undefined).map(({ field }) => fieldName(field));
  const whole = kase.mineGone || kase.theirsGone;
  return (
    <>
      {!whole && kase.views.length > 0 && (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            if (decision) void decide(client, conflict, decision);
          }}
        >
          {kase.views.map((view) => (
            <FieldChoice key={view.field.number} client={client} conflict={conflict} view={view} sides={sides} pick={picks.get(view.field.number)!} onPick={(pick) => set(view.field.number, pick)} />
          ))}
          <section class="card">
            <h2>{book.say("result.title")}</h2>
            {decision ? (
              <Result client={client} conflict={conflict} kase={kase} fields={resultOf(kase, decision)} />
            ) : (
              <p class="quiet" role="status">{missing.length ? book.say("result.missing", { fields: missing.join(", ") }) : book.say("result.tooLong")}</p>
            )}
            <button class="main" disabled={!decision}>{book.say("decide")}</button>
          </section>
        </form>
      )}
      <section class="card">
        <h2>{whole ? book.say("all.choose") : book.say("all.title")}</h2>
        {whole && <Record client={client} conflict={conflict} fields={kase.mineGone ? (kase.leaves ? kase.present : new Map([...kase.present, ...kase.theirs])) : new Map([...kase.common, ...kase.mine])} open />}
        {(["mine", "theirs"] as const).map((side) => (
          <div key={side} class="whole">
            <button onClick={() => all(side)}>{side === "mine" ? sides.takeMine : sides.takeTheirs}</button>
            {(side === "mine" ? kase.mineGone : kase.theirsGone) && <p class="quiet">{book.say("all.deletes")}</p>}
          </div>
        ))}
      </section>
    </>
  );
}

function Result({ client, conflict, kase, fields }: { client: Client; conflict: Conflict; kase: Case; fields: Fields | null }) {
  if (!fields) return <p>{book.say("all.deletes")}</p>;
  return <Record client={client} conflict={conflict} fields={fields} before={kase.present} open />;
}

/** A record's fields. `before`: what stands there now; what is other than that is marked. */
function Record({ client, conflict, fields, before, open }: { client: Client; conflict: Conflict; fields: Fields; before?: Fields; open: boolean }) {
  const declaration = entities().get(conflict.entity);
  const shown = [...(declaration?.fields.values() ?? [])].filter(({ number, housekeeping }) => !housekeeping && (fields.has(number) || before?.has(number)));
  const list = (
    <dl class="record">
      {shown.map((field) => (
        <div key={field.number}>
          <dt>{fieldName(field)}</dt>
          <dd>
            <Shown client={client} stream={conflict.stream} entity={conflict.entity} field={field} value={fields.get(field.number)} before={before && (before.get(field.number) ?? "")} />
          </dd>
        </div>
      ))}
    </dl>
  );
  if (!shown.length) return <p class="quiet">{book.say("all.isDeleted")}</p>;
  if (open) return list;
  return (
    <details>
      <summary>{book.say("result.now")}</summary>
      {list}
    </details>
  );
}
