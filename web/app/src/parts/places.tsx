/** Communities with their channels, what is unread in them, and where one is invited. */
import { useState } from "preact/hooks";
import type { Client, Invitation, SpaceView, StreamView } from "../../../sdk/src/api";
import { useLive } from "../live";
import { place, toChannel, toSpace } from "../place";
import { inWords } from "../trouble";
import { count, say } from "../words";
import { Doors } from "./doors";
import { Icon } from "./icon";

/** Kinds of streams that people talk in (docs/protocol.md). */
const CHANNEL = 3;
const CONVERSATION = 4;
const SHOWN_MAX = 99;

export function talks(space: SpaceView): readonly StreamView[] {
  return space.streams.filter(({ kind }) => kind === CHANNEL || kind === CONVERSATION);
}

export function Places({ client }: { client: Client }) {
  const { spaces, invitations } = useLive(client.places);
  const shown = spaces.filter((space) => talks(space).length > 0);
  return (
    <>
      <Doors where="me" />
      {invitations.map((one) => (
        <Invited key={one.space} client={client} invitation={one} />
      ))}
      {shown.map((space) => (
        <section key={space.space} class="place">
          <h2>
            <a href={toSpace(space.space)} dir="auto">
              {space.name || say("places.conversation")}
            </a>
          </h2>
          <ul>
            {talks(space).map((one) => (
              <li key={one.stream}>
                <StreamLink stream={one} />
              </li>
            ))}
          </ul>
        </section>
      ))}
      {shown.length === 0 && invitations.length === 0 && <p class="quiet empty">{say("places.none")}</p>}
      <a class="action" href="#/new">
        <Icon name="plus" />
        {say("places.new")}
      </a>
    </>
  );
}

function StreamLink({ stream: { stream, name, unread: behind } }: { stream: StreamView }) {
  const { page, id } = useLive(place);
  const here = page === "channel" && id === stream;
  const unread = here ? 0 : behind;
  return (
    <a class={unread ? "talk-link unread" : "talk-link"} href={toChannel(stream)} aria-current={here ? "page" : undefined}>
      <Icon name="hash" />
      <span class="name" dir="auto">
        {name || say("places.conversation")}
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
