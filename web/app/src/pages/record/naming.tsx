/** What records, fields, people and places are called, and how a field's value reads. */
import { useEffect, useMemo } from "preact/hooks";
import type { Client, RecordView, SpaceView } from "../../../../sdk/src/api";
import type { Fields, Value } from "../../../../sdk/src/protocol";
import { entities, type Field } from "../../../../sdk/src/records";
import { useLive } from "../../live";
import { learnNames, nameOf, people, strangers } from "../../session";
import { clock, day, language } from "../../words";
import { book, english, type Word } from "./book";
import { Marks } from "./marks";

const LESSON = 11;
/** Fields that name another record: of which entity. */
const POINTS: Readonly<Record<string, number>> = { lesson: LESSON, requires: LESSON, steps: LESSON, course: 10, subject: 9, parent: 9, path: 12, question: 13, content: 8 };
const TIMES: readonly string[] = ["due", "since", "made", "last", "at"];
const MINUTES: readonly string[] = ["quiet_from", "quiet_to"];
const TITLES: readonly string[] = ["title", "prompt", "about", "note"];
const STATES: readonly Word[] = ["value.draft", "value.open", "value.closed"];
const SHORT = 60;

function has(key: string): key is Word {
  return Object.hasOwn(english, key);
}

export function entityName(entity: number): string {
  const key = `entity.${entity}`;
  return has(key) ? book.say(key) : book.say("entity.unknown");
}

export function fieldName({ name }: Field): string {
  const key = `field.${name}`;
  return has(key) ? book.say(key) : book.say("field.unknown", { name: name.replaceAll("_", " ") });
}

/** What a record calls itself; empty: nothing. */
export function titleIn(entity: number, ...sides: readonly Fields[]): string {
  const fields = [...(entities().get(entity)?.fields.values() ?? [])];
  for (const title of TITLES) {
    const field = fields.find(({ name }) => name === title);
    const found = field && sides.map((side) => side.get(field.number)).find(Boolean);
    if (typeof found === "string") return found.length > SHORT ? `${found.slice(0, SHORT)}…` : found;
  }
  return "";
}

export function spaceOf(spaces: readonly SpaceView[], stream: number): SpaceView | undefined {
  const found = spaces.find(({ streams }) => streams.some((one) => one.stream === stream));
  // What a member has for themselves lies in a space of its own, which is named by the community's number.
  return found && (spaces.find(({ space }) => space === Number(found.name)) ?? found);
}

/** Who and where, as far as it is known here. `wanted`: people whose names are needed. */
export function useNaming(client: Client, stream: number, wanted: readonly number[]) {
  const { spaces } = useLive(client.places);
  const known = useLive(people);
  const me = useLive(client.me);
  const { state } = useLive(client.status);
  const space = spaceOf(spaces, stream);
  const nameless = wanted.filter((user) => user > 0 && user !== me?.user && !known.has(user) && !strangers.has(user));
  useEffect(() => {
    if (state === "online" && space && nameless.length) void learnNames(client, space.space, nameless);
  }, [state, space?.space, nameless.join()]);
  return {
    me: me?.user ?? 0,
    place: space?.name || book.say("place.own"),
    person: (user: number) => (user === me?.user ? book.say("who.you") : user ? nameOf(user, me, known) : book.say("who.system")),
  };
}

/** Day and time of Unix seconds, as one says them. */
export function moment(at: number): string {
  return book.say("when", { day: day(at), time: clock(at) });
}

/** One record, as it stands here. */
export function useRecord(client: Client, stream: number, entity: number, key: number): RecordView {
  const live = useMemo(() => client.record(stream, entity, key), [client, stream, entity, key]);
  useEffect(() => () => live.close(), [live]);
  return useLive(live);
}

interface Given {
  readonly client: Client;
  readonly stream: number;
  readonly entity: number;
  readonly field: Field;
  readonly value: Value | undefined;
  /** Of text: what it was before, which is marked in it. */
  readonly before?: Value | undefined;
}

/** A value as people read it. */
export function Shown({ client, stream, entity, field, value, before }: Given) {
  if (value === undefined || value === "" || (Array.isArray(value) && !value.length)) return <p class="quiet value">{book.say("value.empty")}</p>;
  if (typeof value === "string" && field.name !== "language") {
    return (
      <p class="value" dir="auto">
        {typeof before === "string" ? <Marks before={before} after={value} /> : value}
      </p>
    );
  }
  const one = (each: number | string, at: number) => <One key={at} client={client} stream={stream} entity={entity} field={field} value={each} />;
  if (!Array.isArray(value)) return <p class="value">{typeof value === "boolean" ? book.say(value ? "value.yes" : "value.no") : one(value as number | string, 0)}</p>;
  return (
    <ul class="value list">
      {(value as readonly (number | string)[]).map((each, at) => (
        <li key={at}>{one(each, at)}</li>
      ))}
    </ul>
  );
}

function One({ client, stream, entity, field, value }: Omit<Given, "value"> & { value: number | string }) {
  const { name } = field;
  if (typeof value === "string") return <span dir="auto">{name.startsWith("language") ? tongue(value) : value}</span>;
  if (name === "assignee") return <Person client={client} stream={stream} user={value} />;
  const points = POINTS[name];
  if (points && value) return <Pointed client={client} stream={stream} entity={points} id={value} />;
  if (TIMES.includes(name)) return <>{value ? moment(value) : book.say("value.empty")}</>;
  if (MINUTES.includes(name)) return <>{`${Math.floor(value / 60)}:${String(value % 60).padStart(2, "0")}`}</>;
  if (name === "state" && (entity === LESSON || entity === POINTS.course)) return <>{book.say(STATES[value] ?? "value.draft")}</>;
  return <>{new Intl.NumberFormat(language.value).format(value)}</>;
}

function Person({ client, stream, user }: { client: Client; stream: number; user: number }) {
  const { person } = useNaming(client, stream, [user]);
  return <span dir="auto">{user ? person(user) : book.say("value.nobody")}</span>;
}

function Pointed({ client, stream, entity, id }: { client: Client; stream: number; entity: number; id: number }) {
  const { fields } = useRecord(client, stream, entity, id);
  return <span dir="auto">{titleIn(entity, fields) || `${entityName(entity)} ${id % 10_000}`}</span>;
}

/** A language by its own name, where the browser knows it. */
function tongue(tag: string): string {
  try {
    return new Intl.DisplayNames([language.value], { type: "language" }).of(tag) ?? tag;
  } catch (error) {
    if (error instanceof RangeError) return tag;
    throw error;
  }
}
