/** A community: its channels, who is in it, and how more people come in. */
import { useState } from "preact/hooks";
import type { Client, SpaceView } from "../../../sdk/src/api";
import { useAct } from "../act";
import { submitted } from "../asked";
import { useLive } from "../live";
import { Doors } from "../parts/doors";
import { Field } from "../parts/field";
import { Head } from "../parts/head";
import { Icon } from "../parts/icon";
import { Missing } from "../parts/missing";
import { Stopped, useProof } from "../parts/proof";
import { talks } from "../parts/places";
import { go, HOME, toChannel } from "../place";
import { useTitles } from "../session";
import { say } from "../words";
import { Members } from "./space_members";
import { COMMUNITY, MODERATOR, OWNER, roleName, rolesToGive } from "./space_roles";

export function SpacePage({ client, id }: { client: Client; id: number }) {
  const { spaces } = useLive(client.places);
  const title = useTitles(client);
  const space = spaces.find((one) => one.space === id);
  if (!space) return <Missing />;
  const isCommunity = space.kind === COMMUNITY;
  const [talk] = talks(space);
  const leads = isCommunity && (space.role & (OWNER | MODERATOR)) > 0;
  return (
    <>
      <Head title={title(space)} under={isCommunity ? roleName(space.role) : ""} back={isCommunity || !talk ? HOME : toChannel(talk.stream)} />
      {isCommunity && (
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
      )}
      {isCommunity && (
        <nav class="card" aria-label={say("space.parts")}>
          <Doors where="space" id={space.space} />
          {leads && <Doors where="staff" id={space.space} />}
        </nav>
      )}
      {leads && <Invite client={client} space={space} />}
      <Members client={client} space={space} />
      {isCommunity && <Leave client={client} space={space} />}
    </>
  );
}

function NewChannel({ client, space }: { client: Client; space: SpaceView }) {
  const [name, setName] = useState("");
  const { wrong, busy, act } = useAct();
  const create = (event: Event) => {
    event.preventDefault();
    void act(async () => {
      await submitted(client, { type: "CreateChannel", space: space.space, name: name.trim() });
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
  const [role, setRole] = useState(rolesToGive(space.role)[0]!);
  const [invited, setInvited] = useState("");
  const { wrong, busy, act } = useAct();
  const { proven, dialog } = useProof(client);
  const invite = (event: Event) => {
    event.preventDefault();
    setInvited("");
    void act(async () => {
      const person = await client.search(name.trim().replace(/^@/, ""));
      try {
        if (role === OWNER) await proven();
      } catch (error) {
        if (error instanceof Stopped) return;
        throw error;
      }
      await submitted(client, { type: "Invite", space: space.space, user: person.user, role });
      setInvited(person.display_name || person.name);
      setName("");
    });
  };
  return (
    <section class="card">
      <h2>{say("space.invite")}</h2>
      <form class="invite" onSubmit={invite}>
        <Field id="invite" label={say("space.inviteName")} hint={say("space.inviteHint")} value={name} onText={setName} maxLength={41} dir="auto" autocomplete="off" autocapitalize="none" spellcheck={false} />
        <p class="field">
          <label for="invite-role">{say("space.inviteRole")}</label>
          <select id="invite-role" value={role} onChange={(event) => setRole(Number(event.currentTarget.value))}>
            {rolesToGive(space.role).map((one) => (
              <option key={one} value={one}>
                {roleName(one)}
              </option>
            ))}
          </select>
        </p>
        <button class="main" disabled={busy || !name.trim()}>{say("space.inviteSend")}</button>
        {wrong && <p class="wrong" role="alert">{wrong}</p>}
        {invited && <p class="note done" role="status">{say("space.invited", { name: invited })}</p>}
      </form>
      {dialog}
    </section>
  );
}

function Leave({ client, space }: { client: Client; space: SpaceView }) {
  const [sure, setSure] = useState(false);
  const { wrong, busy, act } = useAct();
  const leave = () =>
    act(async () => {
      await submitted(client, { type: "Leave", space: space.space });
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
