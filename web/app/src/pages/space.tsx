/** A community: its channels, who is in it, and how more people come in. */
import { useEffect, useState } from "preact/hooks";
import type { Client, SpaceView } from "../../../sdk/src/api";
import type { Member } from "../../../sdk/src/protocol";
import { useAct } from "../act";
import { useLive } from "../live";
import { Avatar } from "../parts/avatar";
import { Doors } from "../parts/doors";
import { Field } from "../parts/field";
import { Head } from "../parts/head";
import { Icon } from "../parts/icon";
import { Missing } from "../parts/missing";
import { talks } from "../parts/places";
import { go, HOME, toChannel } from "../place";
import { learnNames } from "../session";
import { count, say, type Key } from "../words";

const OWNER = 1;
const MODERATOR = 2;
const ROLES: Readonly<Record<number, Key>> = { 1: "role.owner", 2: "role.moderator", 4: "role.mentor", 8: "role.learner" };
const COMMUNITY = 1;

export function SpacePage({ client, id }: { client: Client; id: number }) {
  const { spaces } = useLive(client.places);
  const space = spaces.find((one) => one.space === id);
  if (!space) return <Missing />;
  const leads = space.kind === COMMUNITY && (space.role & (OWNER | MODERATOR)) > 0;
  return (
    <>
      <Head title={space.name} under={say(ROLES[space.role] ?? "role.learner")} />
      <section class="card">
        <h2>{say("space.channels")}</h2>
        <ul class="rows">
          {talks(space).map((one) => (
            <li key={one.stream}>
              <a class="row" href={toChannel(one.stream)}>
                <Icon name="hash" />
                <span dir="auto">{one.name}</span>
              </a>
            </li>
          ))}
        </ul>
        {leads && <NewChannel client={client} space={space} />}
      </section>
      {space.kind === COMMUNITY && (
        <nav class="card" aria-label={say("space.parts")}>
          <Doors where="space" id={space.space} />
          {leads && <Doors where="staff" id={space.space} />}
        </nav>
      )}
      {leads && <Invite client={client} space={space} />}
      <Members client={client} space={space} />
      {space.kind === COMMUNITY && space.role !== OWNER && <Leave client={client} space={space} />}
    </>
  );
}

function NewChannel({ client, space }: { client: Client; space: SpaceView }) {
  const [name, setName] = useState("");
  const { wrong, busy, act } = useAct();
  const create = (event: Event) => {
    event.preventDefault();
    void act(async () => {
      await client.submit({ type: "CreateChannel", space: space.space, name: name.trim() });
      setName("");
    });
  };
  return (
    <form class="line" onSubmit={create}>
      <Field id="channel" label={say("space.newChannel")} value={name} onText={setName} maxLength={80} dir="auto" autocomplete="off" />
      <button disabled={busy || !name.trim()}>{say("space.add")}</button>
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
    </form>
  );
}

function Invite({ client, space }: { client: Client; space: SpaceView }) {
  const [name, setName] = useState("");
  const [invited, setInvited] = useState("");
  const { wrong, busy, act } = useAct();
  const invite = (event: Event) => {
    event.preventDefault();
    setInvited("");
    void act(async () => {
      const person = await client.search(name.trim().replace(/^@/, ""));
      await client.submit({ type: "Invite", space: space.space, user: person.user });
      setInvited(person.display_name || person.name);
      setName("");
    });
  };
  return (
    <section class="card">
      <h2>{say("space.invite")}</h2>
      <form class="line" onSubmit={invite}>
        <Field id="invite" label={say("space.inviteName")} value={name} onText={setName} maxLength={41} dir="auto" autocomplete="off" autocapitalize="none" spellcheck={false} />
        <button disabled={busy || !name.trim()}>{say("space.inviteSend")}</button>
        {wrong && <p class="wrong" role="alert">{wrong}</p>}
        {invited && <p class="note done" role="status">{say("space.invited", { name: invited })}</p>}
      </form>
    </section>
  );
}

function Members({ client, space }: { client: Client; space: SpaceView }) {
  const [members, setMembers] = useState<readonly Member[]>([]);
  const [more, setMore] = useState(false);
  const { state } = useLive(client.status);
  const { wrong, busy, act } = useAct();
  const load = (after: number) =>
    act(async () => {
      const page = await client.members(space.space, after);
      setMembers((before) => (after ? [...before, ...page.members] : page.members));
      setMore(page.more);
    });
  useEffect(() => {
    if (state !== "online") return;
    void load(0);
    void learnNames(client, space.space);
  }, [state]);
  return (
    <section class="card">
      <h2>{say("space.members")}</h2>
      {members.length > 0 && <p class="quiet">{count("space.people", members.length)}</p>}
      {members.length === 0 && state !== "online" && <p class="quiet">{say("space.membersOffline")}</p>}
      <ul class="rows">
        {members.map(({ user, name, display_name: display, role }) => (
          <li key={user} class="row">
            <Avatar user={user} name={display || name} />
            <span class="grow" dir="auto">
              {display || name} <bdi class="quiet">@{name}</bdi>
            </span>
            <span class="quiet">{say(ROLES[role] ?? "role.learner")}</span>
          </li>
        ))}
      </ul>
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
      {more && (
        <button disabled={busy} onClick={() => void load(members.at(-1)?.user ?? 0)}>
          {say("space.more")}
        </button>
      )}
    </section>
  );
}

function Leave({ client, space }: { client: Client; space: SpaceView }) {
  const [sure, setSure] = useState(false);
  const { wrong, busy, act } = useAct();
  const leave = () =>
    act(async () => {
      await client.submit({ type: "Leave", space: space.space });
      go(HOME);
    });
  return (
    <section class="card">
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
      {sure && <p>{say("space.leaveExplain")}</p>}
      <button class={sure ? "danger" : ""} disabled={busy} onClick={() => (sure ? void leave() : setSure(true))}>
        {sure ? say("space.leaveSure") : say("space.leave")}
      </button>
    </section>
  );
}
