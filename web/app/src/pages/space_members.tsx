/** Who is in a community: how to write to them, and, for those who lead, what they are in it and how they leave it. */
import { useEffect, useState } from "preact/hooks";
import type { Client, SpaceView } from "../../../sdk/src/api";
import type { Member } from "../../../sdk/src/protocol";
import { useAct } from "../act";
import { submitted } from "../asked";
import { useLive } from "../live";
import { useOnline } from "../online";
import { Avatar } from "../parts/avatar";
import { Icon } from "../parts/icon";
import { Stopped, useProof } from "../parts/proof";
import { go, toChannel } from "../place";
import { circles, learnNames, nameOf, people } from "../session";
import { count, say } from "../words";
import { COMMUNITY, MODERATOR, OWNER, roleName, rolesToGive } from "./space_roles";

export function Members({ client, space }: { client: Client; space: SpaceView }) {
  const [members, setMembers] = useState<readonly Member[]>([]);
  const [more, setMore] = useState(false);
  const [open, setOpen] = useState(0);
  const online = useOnline(client);
  const known = useLive(people);
  const circle = useLive(circles).get(space.space) ?? [];
  const me = useLive(client.me);
  const { wrong, busy, act } = useAct();
  const load = (after: number) =>
    act(async () => {
      const page = await client.members(space.space, after);
      setMembers((before) => (after ? [...before, ...page.members] : page.members));
      setMore(page.more);
    });
  useEffect(() => {
    if (!online) return;
    void load(0);
    void learnNames(client, space.space);
  }, [online]);
  return (
    <section class="card">
      <h2>{say("space.members")}</h2>
      {members.length > 0 && !more && <p class="quiet">{count("space.people", members.length)}</p>}
      {members.length === 0 && !online && <p class="quiet">{say("space.membersOffline")}</p>}
      {members.length === 0 && (
        <ul class="rows">
          {circle.map((user) => (
            <li key={user} class="row">
              <Avatar user={user} name={nameOf(user, me, known)} />
              <span class="grow" dir="auto">{nameOf(user, me, known)}</span>
            </li>
          ))}
        </ul>
      )}
      <ul class="rows">
        {members.map((member) => {
          const { user, name, display_name: display, role } = member;
          const called = display || name;
          const isOpen = open === user;
          return (
            <li key={user}>
              <div class="row">
                <Avatar user={user} name={called} />
                <span class="grow" dir="auto">
                  {called} <bdi class="quiet">@{name}</bdi>
                </span>
                {space.kind === COMMUNITY && <span class="quiet">{roleName(role)}</span>}
                {space.kind === COMMUNITY && user !== me?.user && (
                  <button class="icon" aria-expanded={isOpen} aria-label={say("space.about.member", { name: called })} title={say("space.about.member", { name: called })} onClick={() => setOpen(isOpen ? 0 : user)}>
                    <Icon name="more" />
                  </button>
                )}
              </div>
              {isOpen && (
                <OneMember
                  client={client}
                  space={space}
                  member={member}
                  onRole={(now) => setMembers((before) => before.map((one) => (one.user === user ? { ...one, role: now } : one)))}
                  onRemoved={() => setMembers((before) => before.filter((one) => one.user !== user))}
                />
              )}
            </li>
          );
        })}
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

/** What can be done about a member of a community. */
interface OneGiven {
  readonly client: Client;
  readonly space: SpaceView;
  readonly member: Member;
  readonly onRole: (role: number) => void;
  readonly onRemoved: () => void;
}

function OneMember({ client, space, member: { user, name, display_name: display, role }, onRole, onRemoved }: OneGiven) {
  const [sure, setSure] = useState(false);
  const [done, setDone] = useState("");
  const online = useOnline(client);
  const { wrong, busy, act } = useAct();
  const { proven, dialog } = useProof(client);
  const called = display || name;
  const leads = (space.role & (OWNER | MODERATOR)) > 0;
  const given = space.role === OWNER ? rolesToGive(space.role) : [];
  const write = () => act(async () => go(toChannel(await submitted(client, { type: "OpenConversation", users: [user] }))));
  const make = (wanted: number) =>
    act(async () => {
      setDone("");
      try {
        // Who makes an owner shares all power over the community.
        if (wanted === OWNER) await proven();
      } catch (error) {
        if (error instanceof Stopped) return onRole(role);
        throw error;
      }
      await submitted(client, { type: "SetRole", space: space.space, user, role: wanted });
      onRole(wanted);
      setDone(say("space.roleSaved", { name: called, role: roleName(wanted) }));
    });
  const vouch = (on: boolean) =>
    act(async () => {
      setDone("");
      await submitted(client, { type: on ? "Endorse" : "WithdrawEndorsement", space: space.space, user });
      setDone(say(on ? "space.vouched" : "space.vouchedBack", { name: called }));
    });
  const remove = () =>
    act(async () => {
      await submitted(client, { type: "Remove", space: space.space, user });
      onRemoved();
    });
  return (
    <div class="member-acts">
      <button disabled={busy} onClick={() => void write()}>
        {say("space.write")}
      </button>
      {given.length > 0 && (
        <p class="field">
          <label for={`role-${user}`}>{say("space.role")}</label>
          <select id={`role-${user}`} value={role} disabled={busy} onChange={(event) => void make(Number(event.currentTarget.value))}>
            {given.map((one) => (
              <option key={one} value={one} selected={one === role}>
                {roleName(one)}
              </option>
            ))}
          </select>
        </p>
      )}
      <div class="buttons">
        <button disabled={busy} onClick={() => void vouch(true)}>
          {say("space.vouch")}
        </button>
        <button class="plain" disabled={busy} onClick={() => void vouch(false)}>
          {say("space.vouchBack")}
        </button>
      </div>
      <p class="quiet">{say("space.vouchExplain", { name: called })}</p>
      {leads && (role !== OWNER || space.role === OWNER) && (
        <button class={sure ? "danger" : ""} disabled={busy} onClick={() => (sure ? void remove() : setSure(true))}>
          {say(sure ? "space.removeSure" : "space.remove")}
        </button>
      )}
      {sure && <p class="quiet">{say("space.removeExplain", { name: called })}</p>}
      {done && <p class="note done" role="status">{done}</p>}
      {busy && !online && <p class="note" role="status">{say("app.whenOnline")}</p>}
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
      {dialog}
    </div>
  );
}
