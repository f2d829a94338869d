/** What lies over a conversation: a person's card, and a report. A dialog of the browser's: it keeps the focus, and Escape closes it. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Client, SpaceView } from "../../../../sdk/src/api";
import { ReportReason, type Member } from "../../../../sdk/src/protocol";
import { useAct } from "../../act";
import { useLive } from "../../live";
import { Avatar } from "../../parts/avatar";
import { over, type Over as Shown } from "../../parts/extras";
import { Icon } from "../../parts/icon";
import { go, toChannel } from "../../place";
import { people } from "../../session";
import { say as shell, type Key } from "../../words";
import { reportReason } from "../review/reasons";
import { membersOf } from "./members";
import { say } from "./words";

const ROLES: Readonly<Record<number, Key>> = { 1: "role.owner", 2: "role.moderator", 4: "role.mentor", 8: "role.learner" };
const COMMUNITY = 1;
const WORDS_MAX = 500;

interface Given {
  readonly client: Client;
  readonly space: SpaceView;
  readonly stream: number;
}

export function Over(given: Given) {
  const shown = useLive(over);
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (shown && !dialog.current!.open) dialog.current!.showModal();
  }, [shown]);
  useEffect(() => () => over.set(null), []);
  if (!shown) return null;
  return (
    <dialog
      ref={dialog}
      class="over"
      aria-labelledby="over-title"
      onClose={() => over.set(null)}
      onClick={({ target }) => target === dialog.current && dialog.current!.close()}
    >
      <button class="icon close" aria-label={say("over.close")} onClick={() => dialog.current!.close()}>
        <Icon name="stop" />
      </button>
      {shown.kind === "person" ? <Person key={shown.user} {...given} user={shown.user} /> : <Report {...given} shown={shown} />}
    </dialog>
  );
}

function useName(client: Client, user: number): string {
  const known = useLive(people);
  const me = client.me.value;
  return me?.user === user ? me.displayName || me.name : (known.get(user)?.display ?? shell("talk.somebody"));
}

function Person({ client, space, user }: Given & { readonly user: number }) {
  const name = useName(client, user);
  const { blocked } = useLive(client.places);
  const [member, setMember] = useState<Member>();
  const [sure, setSure] = useState(false);
  const { wrong, busy, act } = useAct();
  const isMe = client.me.value?.user === user;
  useEffect(() => {
    void membersOf(client, space.space).then((all) => setMember(all.find((one) => one.user === user)));
  }, [user]);
  const talk = () =>
    act(async () => {
      const stream = await client.submit({ type: "OpenConversation", users: [user] });
      over.set(null);
      go(toChannel(stream));
    });
  const block = (on: boolean) =>
    act(async () => {
      await client.submit(on ? { type: "Block", user } : { type: "Unblock", user });
      setSure(false);
    });
  return (
    <>
      <div class="person-head">
        <Avatar user={user} name={name} />
        <div>
          <h2 id="over-title" dir="auto">{name}</h2>
          <p class="quiet">
            {member?.name && <bdi>@{member.name}</bdi>}
            {member && ROLES[member.role] && ` · ${shell(ROLES[member.role]!)}`}
          </p>
        </div>
      </div>
      {isMe && <p class="quiet">{say("person.you")}</p>}
      {blocked.has(user) && <p class="note">{say("person.blocked")}</p>}
      {!isMe && !blocked.has(user) && (
        <button class="main" disabled={busy} onClick={() => void talk()}>
          {say("person.message")}
        </button>
      )}
      {!isMe && (
        <div class="line">
          {blocked.has(user) ? (
            <button disabled={busy} onClick={() => void block(false)}>
              {say("person.unblock")}
            </button>
          ) : (
            <button class={sure ? "danger" : ""} disabled={busy} onClick={() => (sure ? void block(true) : setSure(true))}>
              {say(sure ? "person.blockSure" : "person.block")}
            </button>
          )}
          <button onClick={() => over.set({ kind: "report", user, message: 0 })}>{say("person.report")}</button>
        </div>
      )}
      {sure && <p class="quiet">{say("person.blockExplain")}</p>}
      {busy && client.status.value.state !== "online" && <p class="quiet" role="status">{shell("app.whenOnline")}</p>}
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
    </>
  );
}

function Report({ client, space, stream, shown }: Given & { readonly shown: Shown & { readonly kind: "report" } }) {
  const name = useName(client, shown.user);
  const [reason, setReason] = useState<ReportReason>(-1);
  const [words, setWords] = useState("");
  const [sent, setSent] = useState(false);
  const { state } = useLive(client.status);
  const { wrong, busy, act } = useAct();
  const send = (event: Event) => {
    event.preventDefault();
    void act(async () => {
      const where = space.kind === COMMUNITY ? space.space : 0;
      if (shown.message) await client.submit({ type: "ReportMessage", stream, target: shown.message, reason, words: words.trim() });
      else await client.submit({ type: "ReportPerson", user: shown.user, reason, words: words.trim(), space: where });
      setSent(true);
    });
  };
  const reasons = Object.values(ReportReason).filter((one) => one !== ReportReason.OTHER);
  return (
    <form class="report" onSubmit={send}>
      <h2 id="over-title" dir="auto">{shown.message ? say("report.message", { name }) : say("report.person", { name })}</h2>
      {sent ? (
        <p class="note done" role="status">{say("report.sent")}</p>
      ) : (
        <>
          <fieldset>
            <legend>{say("report.why")}</legend>
            {[...reasons, ReportReason.OTHER].map((one) => (
              <label key={one}>
                <input type="radio" name="reason" required checked={reason === one} onChange={() => setReason(one)} /> {one ? reportReason(one) : say("report.else")}
              </label>
            ))}
          </fieldset>
          <p class="field">
            <label for="report-words">{say("report.words")}</label>
            <textarea id="report-words" rows={3} maxLength={WORDS_MAX} value={words} dir="auto" onInput={(event) => setWords(event.currentTarget.value)} />
          </p>
          <p class="quiet">{say("report.private")}</p>
          {busy && state !== "online" && <p class="quiet" role="status">{shell("app.whenOnline")}</p>}
          {wrong && <p class="wrong" role="alert">{wrong}</p>}
          <button class="main" disabled={busy}>{say("report.send")}</button>
        </>
      )}
    </form>
  );
}
