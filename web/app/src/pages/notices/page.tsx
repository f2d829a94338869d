/** The inbox: what one is told of, by day, the unread marked; each leads to what it is about. `#/notices/7` goes there at once. */
import { useEffect, useMemo, useState } from "preact/hooks";
import type { Client, NoticeView } from "../../../../sdk/src/api";
import { network, useLive } from "../../live";
import { isUnread, mark, marks, sendMarks } from "../../notices";
import type { PageGiven } from "../../pages";
import { Head } from "../../parts/head";
import { Icon } from "../../parts/icon";
import { toPage } from "../../place";
import { learnNames, nameOf, people, strangers } from "../../session";
import { inWords } from "../../trouble";
import { clock, day } from "../../words";
import { book } from "./book";
import { leadsTo, nameOfKind, said, spaceOf } from "./lines";
import { NoticeSettings } from "./settings";

/** So many are asked for at once. With fewer here there are no older ones: the inbox came from its first event. */
const PAGE = 50;

export default function NoticesPage({ client, id, rest }: PageGiven) {
  if (rest[0] === "settings") return <NoticeSettings client={client} />;
  return <Inbox client={client} wanted={id} />;
}

/** What the server lists, as the SDK would. */
interface Listed extends Omit<NoticeView, "seq" | "target"> {
  readonly notice: number;
  readonly seq: number;
}

async function ask(client: Client, before: number, limit: number): Promise<readonly NoticeView[]> {
  const { notices } = await client.ask<{ notices: readonly Listed[] }>("GET", `notices?limit=${limit}${before ? `&before=${before}` : ""}`);
  return notices.map(({ notice, seq, ...more }) => ({ ...more, seq: notice, target: seq }));
}

function Inbox({ client, wanted }: { client: Client; wanted: number }) {
  const here = useLive(client.notices);
  const { user, seqs } = useLive(marks);
  const places = useLive(client.places);
  const { state } = useLive(client.status);
  const online = useLive(network) && state === "online";
  const [older, setOlder] = useState<readonly NoticeView[]>([]);
  const [more, setMore] = useState(true);
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState("");
  const all = useMemo(() => {
    const bySeq = new Map([...older, ...here].map((one) => [one.seq, one]));
    return [...bySeq.values()].sort((a, b) => b.seq - a.seq);
  }, [here, older]);
  const unread = all.filter((one) => isUnread(one, client));

  useEffect(() => {
    if (online) void sendMarks(client);
  }, [client, online]);
  useNames(client, all, online);
  useWanted(client, wanted, all, online);

  const bring = async () => {
    setBusy(true);
    setWrong("");
    try {
      const found = await ask(client, all.at(-1)?.seq ?? 0, PAGE);
      setOlder((before) => [...before, ...found]);
      setMore(found.length === PAGE);
    } catch (error) {
      setWrong(online ? inWords(error) : book.say("olderAway"));
    } finally {
      setBusy(false);
    }
  };

  return (
    <>
      <Head title={book.say("title")}>
        <a class="icon" href={toPage("notices", 0, "settings")} aria-label={book.say("settings")} title={book.say("settings")}>
          <Icon name="settings" />
        </a>
      </Head>
      <div class="notices">
        {seqs.length > 0 && user === client.me.value?.user && !online && <p class="note" role="status">{book.say("waiting")}</p>}
        {unread.length > 0 && (
          <button class="plain" onClick={() => void mark(client, unread.map(({ seq }) => seq))}>
            {book.say("readAll")}
          </button>
        )}
        {all.length === 0 && <p class="welcome quiet">{book.say("empty")}</p>}
        {byDay(all).map(([name, notices]) => (
          <section key={name}>
            <h2>{name}</h2>
            <ul>
              {notices.map((one) => (
                <Row key={one.seq} client={client} notice={one} href={leadsTo(one, places)} />
              ))}
            </ul>
          </section>
        ))}
        {wrong && <p class="wrong" role="alert">{wrong}</p>}
        {all.length >= PAGE && (more ? <button disabled={busy} onClick={() => void bring()}>{book.say("older")}</button> : <p class="quiet">{book.say("end")}</p>)}
      </div>
    </>
  );
}

function byDay(notices: readonly NoticeView[]): [string, NoticeView[]][] {
  const days = new Map<string, NoticeView[]>();
  for (const one of notices) {
    const name = day(one.at);
    days.set(name, [...(days.get(name) ?? []), one]);
  }
  return [...days];
}

const SIGNS = { mention: "hash", reply: "reply", invitation: "people", conflict: "warn", match: "people", reminder: "clock", role: "people", trust: "done", security: "lock", moderation: "done", news: "bell" } as const;

function Row({ client, notice, href }: { client: Client; notice: NoticeView; href: string }) {
  const known = useLive(people);
  const places = useLive(client.places);
  const isNew = isUnread(notice, client);
  const { invitations, spaces } = places;
  const invited = invitations.find((one) => one.space === notice.space)?.byName;
  const actor = known.has(notice.actor) || !invited ? nameOf(notice.actor, client.me.value, known) : invited;
  const space = spaces.find((one) => one.space === spaceOf(notice, places));
  const stream = space?.streams.find((one) => one.stream === notice.stream)?.name;
  const { line, words } = said(notice, actor, stream || space?.name || book.say("somewhere"));
  const body = (
    <>
      <Icon name={SIGNS[nameOfKind(notice.kind)]} />
      <span class="grow">
        <span class="line-of" dir="auto">{line}</span>
        {words && <q class="quiet" dir="auto">{words}</q>}
        <span class="quiet">
          {isNew && <span class="heard">{book.say("unread")}, </span>}
          <time dateTime={new Date(notice.at * 1000).toISOString()}>{clock(notice.at)}</time>
        </span>
      </span>
    </>
  );
  return (
    <li class={isNew ? "notice unread" : "notice"}>
      {href ? <a class="row" href={href} onClick={() => void (isNew && mark(client, [notice.seq]))}>{body}</a> : <div class="row">{body}</div>}
      {isNew && (
        <button class="icon" title={book.say("readOne")} aria-label={`${book.say("readOne")}: ${line}`} onClick={() => void mark(client, [notice.seq])}>
          <Icon name="done" />
        </button>
      )}
    </li>
  );
}

/** Names of who caused something, of the spaces where it happened. */
function useNames(client: Client, notices: readonly NoticeView[], online: boolean): void {
  const places = useLive(client.places);
  useEffect(() => {
    if (!online) return;
    const wanted = new Map<number, number[]>();
    for (const one of notices) {
      const space = spaceOf(one, places);
      const isKnown = people.value.has(one.actor) || strangers.has(one.actor) || !places.spaces.some((its) => its.space === space);
      if (one.actor && !isKnown) wanted.set(space, [...(wanted.get(space) ?? []), one.actor]);
    }
    for (const [space, users] of wanted) void learnNames(client, space, users);
  }, [client, notices, places, online]);
}

/** A push or a link names a notice: as soon as it is here, it is read and what it is about is opened in its place. */
function useWanted(client: Client, wanted: number, notices: readonly NoticeView[], online: boolean): void {
  const places = useLive(client.places);
  const [asked, setAsked] = useState<NoticeView | null>(null);
  const found = wanted ? (notices.find((one) => one.seq === wanted) ?? asked) : null;
  useEffect(() => {
    if (!wanted || found || !online) return;
    let left = false;
    const take = ([one]: readonly NoticeView[]) => void (!left && one?.seq === wanted && setAsked(one));
    ask(client, wanted + 1, 1).then(take, () => undefined);
    return () => void (left = true);
  }, [client, wanted, found, online]);
  useEffect(() => {
    if (!found || !places.spaces.length) return;
    void mark(client, [found.seq]);
    const href = leadsTo(found, places);
    location.replace(href || toPage("notices"));
  }, [client, found, places]);
}
