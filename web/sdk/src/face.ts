/**
 * What a client asks of its session besides saying and reading, and what it is told besides conversations: account, older messages, who is
 * here, who types, notices, what communities announce.
 *
 * Invariant: nothing is kept here; all state is the core's.
 */
import type { Conversation } from "./api";
import type { Heard } from "./codec";
import type { Core } from "./core";
import { Desk } from "./desk";
import { Refused } from "./errors";
import type { Exchange } from "./exchange";
import { forget } from "./forgetting";
import { Account, Credentials } from "./http_door";
import { heardTyping, lookAt, putInFront, roomOfPage } from "./pages";
import type { Grant } from "./socket";

const TOKEN_LEFT_MS = 10_000;
/** What changes the overview; an event of a newer server may. */
const ANNOUNCING: readonly string[] = ["ChannelOpened", "ChannelChanged", "DocumentOpened", "DocumentChanged", "SettingsChanged", "RoleSet", "Renamed"];

export function methodsOf(core: Core): Readonly<Record<string, (...given: any[]) => unknown>> {
  const { exchange, options, store } = core;
  return {
    logOut: async (everywhere: boolean) => {
      if (core.grant) await ask(core, "POST", everywhere ? "auth/logout-everywhere" : "auth/logout", {}).catch(() => undefined);
      await leave(core);
    },
    ask: (method: string, route: string, body?: unknown) => ask(core, method, route, body),
    /** A page as it stands in the server's log; what was edited reads as it does now. */
    history: async (stream: number, before: number, after: number, limit: number): Promise<Conversation> => {
      const page = await exchange.questions.ask((id) => ({ type: "History", id, stream, before, after, limit }), "Page");
      const found = roomOfPage(page, store).view(core.me()?.user ?? 0, options.world.wall());
      const room = core.rooms.get(stream);
      if (room) lookAt(room, found.messages);
      return { ...found, caughtUp: !page.more };
    },
    older: async (stream: number, limit: number) => {
      const room = core.room(stream);
      const { start } = room;
      if (!start) return false;
      const page = await exchange.questions.ask((id) => ({ type: "History", id, stream, before: start + 1, limit }), "Page");
      putInFront(room, page);
      return page.more;
    },
    typing: (stream: number) => exchange.remark(`typing/${stream}`, { type: "Typing", stream }),
    discard: async (key: number) => {
      store.discard(key);
      for (const room of core.rooms.values()) room.discard(key);
      core.touch("records.failures", "status");
      await store.durable();
    },
    synced: () => synced(core),
  };
}

function synced(core: Core): Promise<void> {
  return new Promise((resolve, reject) => {
    const off = core.open("status", [], () => {
      const { exchange, runner } = core;
      const ended = runner === undefined || runner.status.state === "ended";
      if (!ended && (!exchange.isComplete || core.status().pending)) return;
      queueMicrotask(() => off());
      if (ended) reject(new Refused(runner?.status.code ?? 0, runner?.status.detail ?? "nobody is logged in here"));
      else resolve();
    });
  });
}

// Who one is

/** One question to a route under `/api/v1/`, as whoever is logged in. */
export function ask(core: Core, method: string, route: string, body?: unknown): Promise<unknown> {
  const { grant, options } = core;
  return grant ? credentialsOf(core, grant).ask(method, route, body) : new Account(options.url, options.fetcher).ask(method, route, body);
}

export function credentialsOf(core: Core, grant: Grant): Credentials {
  const { options, store } = core;
  return (grant.credentials ??= new Credentials(new Account(options.url, options.fetcher), grant.login, (newer) => {
    grant.login = newer;
    store.note("login", JSON.stringify(newer));
    core.touch("me");
  }));
}

/** Asks what became of what was sent as the device before. */
export async function inherit(core: Core, grant: Grant): Promise<void> {
  const { inherit, SyncDoor } = await import("./heirs");
  const { exchange, options, store } = core;
  await inherit(store, exchange.mutations, new SyncDoor(options.url, options.fetcher, credentialsOf(core, grant), () => store.durable()));
}

/** The access token, good for some seconds at least; empty: nobody is logged in. */
export async function token(core: Core): Promise<string> {
  const { grant, options, runner } = core;
  if (!grant) return "";
  if (grant.login.expires_at * 1000 - options.world.wall() - (runner?.aheadMs ?? 0) < TOKEN_LEFT_MS) await credentialsOf(core, grant).renew();
  return grant.login.access_token;
}

async function leave(core: Core): Promise<void> {
  core.runner?.stop();
  core.runner = core.grant = undefined;
  forget(core.store);
  core.prepare();
  await core.store.durable();
}

// What one is told

/** From now on the inbox is read, and what else comes that no conversation is told. */
export function openDesk(core: Core): void {
  const { exchange, grant, store } = core;
  if (core.desk || !grant) return;
  const desk = (core.desk = new Desk(store, core.places, (what) => core.touch(what)));
  exchange.onHint = (hint) => hear(core, hint);
  exchange.readInbox(grant.login.inbox || exchange.inboxId, desk);
  core.followPlaces();
  core.touch("notices");
}

function hear(core: Core, hint: Heard): void {
  const { options, parts, presence, rooms } = core;
  if (hint.type === "Presence") {
    presence.set(hint.space, hint);
    return core.touch(`presence/${hint.space}`);
  }
  if (hint.type !== "IsTyping") {
    for (const part of parts.values()) part.heard?.(hint);
    return;
  }
  const room = rooms.get(hint.stream);
  if (!room) return;
  const ms = heardTyping(room, hint.user, options.world.wall());
  options.world.later(ms + 50, () => core.touch(`stream/${hint.stream}`));
}

/** Somebody begins to look who is in a space, or nobody does any more. */
export function watch({ exchange: { questions }, runner }: Core, space: number, on: boolean): void {
  if (on) questions.watched.add(space);
  else questions.watched.delete(space);
  if (runner?.status.state === "online") questions.wonder((id) => ({ type: "Watch", id, space, on }), () => undefined);
}

/** What a community announces changes the overview. */
export function hearAnnouncements({ overview, streams }: Exchange, stream: number, head: number): void {
  const again = () => overview.want();
  streams.readers.set(stream, {
    take: (fact) => {
      if (fact.type !== "Event" || ANNOUNCING.includes(fact.body.type)) again();
    },
    caughtUp: () => undefined,
    refused: () => undefined,
    restarted: again,
  });
  // What was announced before is in the overview.
  streams.startAt(stream, Math.max(head, streams.positions.cursor(stream)));
}
