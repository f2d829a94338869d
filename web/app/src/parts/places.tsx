/** Communities with their channels, what is unread in them, and where one is invited. */
import { useState } from "preact/hooks";
import type { Client, Invitation, SpaceView, StreamView } from "../../../sdk/src/api";
import { useLive } from "../live";
import { mark } from "../notices";
import { place, toChannel, toSpace } from "../place";
import { useTitles } from "../session";
import { inWords } from "../trouble";
import { count, say } from "../words";
import { Doors } from "./doors";
import { Icon, type IconName } from "./icon";

/** A kind of notice, a kind of space, and kinds of streams that people talk in (docs/protocol.md). */
const INVITATION = 3;
const COMMUNITY = 1;
const CHANNEL = 3;
const CONVERSATION = 4;
const SHOWN_MAX = 99;

export function talks(space: SpaceView): readonly StreamView[] {
  return space.streams.filter(({ kind }) => kind === CHANNEL || kind === CONVERSATION);
}

export function Places({ client }: { client: Client }) {
  const { spaces, invitations } = useLive(client.places);
  const title = useTitles(client);
  const { page, id } = useLive(place);
  const isAt = page === "space" ? id : 0;
  const shown = spaces.filter((space) => talks(space).length > 0);
  const communities = shown.filter(({ kind }) => kind === COMMUNITY);
  const conversations = shown.filter(({ kind }) => kind !== COMMUNITY);
  return (
    <>
      <Doors where="me" />
      {invitations.map((one) => (
        <Invited key={one.space} client={client} invitation={one} />
      ))}
      {communities.map((space) => (
        <section key={space.space} class="place">
          <h2>
            <a href={toSpace(space.space)} aria-current={isAt === space.space ? "page" : undefined}>
              <span class="name" dir="auto">{space.name}</span>
              <Icon name="onward" />
            </a>
          </h2>
          <ul>
            {talks(space).map((one) => (
              <li key={one.stream}>
                <StreamLink stream={one} icon="hash" name={one.name} />
              </li>
            ))}
          </ul>
          <Doors where="space" id={space.space} />
        </section>
      ))}
      {conversations.length > 0 && (
        <section class="place">
          <h2>{say("places.conversations")}</h2>
          <ul>
            {conversations.map((space) => (
              <li key={space.space}>
                <StreamLink stream={talks(space)[0]!} icon="people" name={title(space)} />
              </li>
            ))}
          </ul>
        </section>
      )}
      {shown.length === 0 && invitations.length === 0 && <Alone client={client} />}
      <a class="action" href="#/new">
        <Icon name="plus" />
        {say("places.new")}
      </a>
    </>
  );
}

/** Whoever waits for an invitation has a name to tell: it is what they are invited by. */
function Alone({ client }: { client: Client }) {
  const me = useLive(client.me);
  return (
    <div class="empty quiet">
      <p>{say("places.none")}</p>
      {me && (
        <p>
          {say("places.yourName")} <strong><bdi>{me.name}</bdi></strong>
        </p>
      )}
    </div>
  );
}

function StreamLink({ stream: { stream, unread: behind }, icon, name }: { stream: StreamView; icon: IconName; name: string }) {
  const { page, id } = useLive(place);
  const here = page === "channel" && id === stream;
  const unread = here ? 0 : behind;
  return (
    <a class={unread ? "talk-link unread" : "talk-link"} href={toChannel(stream)} aria-current={here ? "page" : undefined}>
      <Icon name={icon} />
      <span class="name" dir="auto">
        {name}
      </span>
      {unread > 0 && (
        <span class="badge">
          <span aria-hidden="true">{unread > SHOWN_MAX ? `${SHOWN_MAX}+` : unread}</span>
          <span class="heard">{count("places.unread", unread)}</span>
        </span>
      )}
    </a>
  );
}

function Invited({ client, invitation: { space, name, byName } }: { client: Client; invitation: Invitation }) {
  const [state, setState] = useState<"" | "busy" | { readonly wrong: string }>("");
  const join = async () => {
    setState("busy");
    try {
      await client.submit({ type: "Join", space });
      // Whoever joined has read that they may.
      const read = client.notices.value.filter((one) => one.kind === INVITATION && one.space === space && !one.read);
      if (read.length) void mark(client, read.map(({ seq }) => seq));
    } catch (error) {
      setState({ wrong: inWords(error) });
    }
  };
  return (
    <section class="invited">
      <p>{say("places.invited", { by: byName || "…" })}</p>
      <h2 dir="auto">{name}</h2>
      <button class="main" disabled={state === "busy"} onClick={() => void join()}>
        {say("places.join")}
      </button>
      {typeof state === "object" && <p class="wrong" role="alert">{state.wrong}</p>}
    </section>
  );
}
