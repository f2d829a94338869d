/** What was found: each with where, who, when and the words in what surrounds them; leads to the message in its channel. */
import { Fragment } from "preact";
import type { Client, SpaceView } from "../../../../sdk/src/api";
import type { FoundMessage } from "../../../../sdk/src/protocol";
import { useLive } from "../../live";
import { Avatar } from "../../parts/avatar";
import { toChannel } from "../../place";
import { nameOf, people, useTitles } from "../../session";
import { clock, day, say as sayInShell } from "../../words";
import { say } from "./words";

export function Results({ client, found }: { client: Client; found: readonly FoundMessage[] }) {
  const title = useTitles(client);
  const alike = found.findIndex(({ whole }) => !whole);
  return (
    <ol class="findings">
      {found.map((one, place) => (
        <Fragment key={`${one.stream}/${one.seq}`}>
          {place === alike && alike > 0 && <li class="alike quiet">{say("alike")}</li>}
          <Finding client={client} found={one} title={title} />
        </Fragment>
      ))}
    </ol>
  );
}

function Finding({ client, found, title }: { client: Client; found: FoundMessage; title: (space: SpaceView) => string }) {
  const { spaces } = useLive(client.places);
  const known = useLive(people);
  const { space, stream, seq, author, at, excerpt } = found;
  const place = spaces.find((one) => one.space === space);
  const channel = place?.streams.find((one) => one.stream === stream)?.name;
  const name = found.name || nameOf(author, client.me.value, known);
  return (
    <li>
      <a class="finding" href={`${toChannel(stream)}/${seq}`}>
        <Avatar user={author} name={name} />
        <span class="of">
          <span class="who">
            <bdi>{name}</bdi>
          </span>
          <time class="quiet" dateTime={new Date(at * 1000).toISOString()}>
            {day(at)}, {clock(at)}
          </time>
        </span>
        <span class="where quiet">
          <bdi>{place ? title(place) : sayInShell("places.conversation")}</bdi>
          {channel && (
            <>
              {" · "}
              <bdi>#{channel}</bdi>
            </>
          )}
        </span>
        <span class="excerpt" dir="auto">
          {excerpt.map((piece, at) => (at % 2 ? <mark key={at}>{piece}</mark> : piece))}
        </span>
      </a>
    </li>
  );
}
