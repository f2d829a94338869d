/**
 * A channel: what was said, what one has said that is not sent yet, and the line to write in.
 *
 *     client.follow ─▶ Said: the rows in sight (day, author, message), which stays at its end while one is there
 *                      read as far as it was seen
 */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Client, Conversation, Message, SpaceView } from "../../../sdk/src/api";
import { useLive } from "../live";
import { pictures } from "../look";
import { Composer, type Aim } from "../parts/composer";
import { extras, wantExtras } from "../parts/extras";
import { Head } from "../parts/head";
import { Icon } from "../parts/icon";
import { between, Said } from "../parts/said";
import { place, toPage, toSpace } from "../place";
import { learnNames, nameOf, people, strangers, useTitles } from "../session";
import { count, say } from "../words";
import { Missing } from "../parts/missing";

const COMMUNITY = 1;

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
  const more = useLive(extras);
  const title = useTitles(client);
  const { rest } = useLive(place);
  const { state } = useLive(client.status);
  const [aim, setAim] = useState<Aim | null>(null);
  const view = space.streams.find((one) => one.stream === stream);
  // Whoever is in one of thousands of messages: those are looked at that came.
  const seen = useRef({ of: [] as readonly Message[], all: new Set<number>() });
  const nameless = useMemo(() => {
    const { of, all } = seen.current;
    for (const { author, mentions } of between(of, talk.messages).fresh) for (const user of [author, ...mentions]) all.add(user);
    seen.current.of = talk.messages;
    return [...all].filter((one) => one !== me?.user && !known.has(one) && !strangers.has(one));
  }, [talk.messages, known, me]);
  useEffect(() => {
    if (state === "online" && nameless.length) void learnNames(client, space.space, nameless);
  }, [state, nameless.join(), space.space]);
  // After the words; in text first only if something asks for it.
  useEffect(() => {
    if (state !== "online" || pictures() === "none") return;
    const timer = setTimeout(wantExtras, 500);
    return () => clearTimeout(timer);
  }, [state]);
  const typing = talk.typing.map((user) => nameOf(user, me, known));
  return (
    <div class="talk">
      <Head title={view?.name || title(space)} under={more ? <more.Here client={client} space={space} /> : space.name}>
        {space.kind === COMMUNITY && (
          <a class="icon" href={toPage("search", space.space)} aria-label={say("talk.find", { name: space.name })} title={say("talk.find", { name: space.name })}>
            <Icon name="search" />
          </a>
        )}
        <a class="icon" href={toSpace(space.space)} aria-label={say("space.about")} title={say("space.about")}>
          <Icon name="people" />
        </a>
      </Head>
      <Said client={client} live={live} talk={talk} read={view?.read ?? 0} wanted={Number(rest[0]) || 0} onAim={setAim} />
      <p class="typing" aria-live="polite" dir="auto">
        {typing.length > 0 && (typing.length < 3 ? count("talk.typing", typing.length, { who: typing.join(", ") }) : say("talk.typingMany"))}
      </p>
      {talk.refused ? (
        <p class="closed">{say("talk.refused")}</p>
      ) : view?.mayWrite === false ? (
        <p class="closed">{say("talk.readOnly")}</p>
      ) : (
        <Composer client={client} stream={stream} space={space.space} channel={view?.name || title(space)} aim={aim} onDone={() => setAim(null)} />
      )}
      {more && <more.Over client={client} space={space} stream={stream} />}
    </div>
  );
}
