/**
 * A channel: what was said, what one has said that is not sent yet, and the line to write in.
 *
 *     client.follow ─▶ rows (day, author, message) ─▶ the list, which stays at its end while one is there
 *                                                      read as far as it was seen
 */
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Client, Conversation, LiveStream, Message, SpaceView } from "../../../sdk/src/api";
import { network, useLive } from "../live";
import { Composer, type Aim } from "../parts/composer";
import { Head } from "../parts/head";
import { Icon } from "../parts/icon";
import { MessageRow } from "../parts/message";
import { toSpace } from "../place";
import { learnNames, nameOf, people, strangers } from "../session";
import { count, day, say } from "../words";
import { Missing } from "./space";

const NEAR_PX = 80;
const READ_AFTER_MS = 1200;
const TOGETHER_S = 300;

export function Channel({ client, stream }: { client: Client; stream: number }) {
  const { spaces } = useLive(client.places);
  const space = spaces.find((one) => one.streams.some((each) => each.stream === stream));
  return space ? <Talk client={client} stream={stream} space={space} /> : <Missing />;
}

function Talk({ client, stream, space }: { client: Client; stream: number; space: SpaceView }) {
  const live = useMemo(() => client.follow(stream), [client, stream]);
  useEffect(() => () => live.close(), [live]);
  const talk = useLive<Conversation>(live);
  const known = useLive(people);
  const me = useLive(client.me);
  const { state } = useLive(client.status);
  const [aim, setAim] = useState<Aim | null>(null);
  const view = space.streams.find((one) => one.stream === stream);
  const nameless = [...new Set(talk.messages.map(({ author }) => author))].filter((one) => one !== me?.user && !known.has(one) && !strangers.has(one));
  useEffect(() => {
    if (state === "online" && nameless.length) void learnNames(client, space.space, nameless);
  }, [state, nameless.join(), space.space]);
  const typing = talk.typing.map((user) => nameOf(user, me, known));
  return (
    <div class="talk">
      <Head title={view?.name || space.name || say("places.conversation")} under={space.name}>
        <a class="icon" href={toSpace(space.space)} aria-label={say("space.about")} title={say("space.about")}>
          <Icon name="people" />
        </a>
      </Head>
      <Said client={client} live={live} talk={talk} read={view?.read ?? 0} aim={aim} onAim={setAim} />
      <p class="typing" aria-live="polite" dir="auto">
        {typing.length > 0 && (typing.length < 3 ? count("talk.typing", typing.length, { who: typing.join(", ") }) : say("talk.typingMany"))}
      </p>
      {talk.refused ? (
        <p class="closed">{say("talk.refused")}</p>
      ) : view?.mayWrite === false ? (
        <p class="closed">{say("talk.readOnly")}</p>
      ) : (
        <Composer client={client} stream={stream} channel={view?.name ?? ""} aim={aim} onDone={() => setAim(null)} />
      )}
    </div>
  );
}

interface SaidGiven {
  readonly client: Client;
  readonly live: LiveStream;
  readonly talk: Conversation;
  readonly read: number;
  readonly aim: Aim | null;
  readonly onAim: (aim: Aim | null) => void;
}

function Said({ client, live, talk, read, onAim }: SaidGiven) {
  const box = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const height = useRef(0);
  const [away, setAway] = useState(false);
  const [open, setOpen] = useState("");
  // The line "new" stays where it was when the channel was opened.
  const [seen] = useState(read);
  const online = useLive(network);
  const { messages, stream, upto } = talk;
  const shown = messages.filter((one) => !one.deleted);
  const last = shown.at(-1);

  useLayoutEffect(() => {
    const place = box.current!;
    if (atEnd.current) place.scrollTop = place.scrollHeight;
    // An older page came in front: what was in sight stays there.
    else if (place.scrollTop < NEAR_PX) place.scrollTop += place.scrollHeight - height.current;
    height.current = place.scrollHeight;
  }, [shown[0]?.seq, last?.seq, last?.key, shown.length, talk.typing.length]);

  // A moment after it was seen, so that a lively channel is one mark and not twenty; and at once when one goes elsewhere.
  const unmarked = useRef(0);
  const mark = () => {
    if (!unmarked.current || document.visibilityState !== "visible") return;
    client.markRead(stream, unmarked.current).catch(() => undefined);
    unmarked.current = 0;
  };
  useEffect(() => {
    if (upto <= read || away) return;
    unmarked.current = upto;
    const timer = setTimeout(mark, READ_AFTER_MS);
    return () => clearTimeout(timer);
  }, [upto, read, away, stream]);
  useEffect(() => mark, []);

  const scrolled = () => {
    const place = box.current!;
    atEnd.current = place.scrollHeight - place.scrollTop - place.clientHeight < NEAR_PX;
    if (away === atEnd.current) setAway(!atEnd.current);
  };
  const down = () => box.current!.scrollTo({ top: box.current!.scrollHeight });

  return (
    <div class="said-frame">
      <div ref={box} class="said" role="log" aria-label={say("talk.messages")} tabIndex={0} onScroll={scrolled}>
        {talk.start > 0 ? <Older live={live} /> : shown.length > 0 && <p class="beginning quiet">{say("talk.beginning")}</p>}
        {shown.length === 0 && <p class="beginning quiet">{talk.caughtUp || talk.start === 0 ? say("talk.empty") : online ? say("talk.loading") : say("talk.notHere")}</p>}
        <ol>
          {shown.map((one, place) => {
            const before = shown[place - 1];
            const name = one.key ? `k${one.key}` : `s${one.seq}`;
            return (
              <MessageRow
                key={name}
                client={client}
                stream={stream}
                message={one}
                newDay={!before || day(before.at) !== day(one.at)}
                together={!!before && together(before, one)}
                firstNew={seen > 0 && one.seq > seen && one.author !== client.me.value?.user && !!before && before.seq > 0 && before.seq <= seen}
                replied={one.replyTo ? messages.find(({ seq }) => seq === one.replyTo) : undefined}
                open={open === name}
                onOpen={(on) => setOpen(on ? name : "")}
                onAim={(aim) => (setOpen(""), onAim(aim))}
              />
            );
          })}
        </ol>
      </div>
      {away && (
        <button class="down" onClick={down}>
          {say("talk.toEnd")}
        </button>
      )}
    </div>
  );
}

function together(before: Message, one: Message): boolean {
  return before.author === one.author && one.at - before.at < TOGETHER_S && !one.replyTo && day(before.at) === day(one.at);
}

function Older({ live }: { live: LiveStream }) {
  const [state, setState] = useState<"" | "busy" | "away">("");
  const ask = async () => {
    setState("busy");
    try {
      await live.older();
      setState("");
    } catch {
      // No socket: what is kept here is shown, and the rest is where the network is.
      setState("away");
    }
  };
  return (
    <p class="beginning">
      <button disabled={state === "busy"} onClick={() => void ask()}>
        {state === "busy" ? say("talk.loading") : say("talk.older")}
      </button>
      {state === "away" && <span class="quiet" role="status"> {say("talk.olderAway")}</span>}
    </p>
  );
}
