/** One message: who, when, what, files and reactions; what can be done with it; and, of one's own, whether it is sent. */
import { Component, type ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import type { Client, Message } from "../../../sdk/src/api";
import { useLive } from "../live";
import { nameOf, type Named } from "../session";
import { whyInWords } from "../trouble";
import { clock, count, day, say, type Language } from "../words";
import { Avatar } from "./avatar";
import type { Aim } from "./composer";
import { extras, report, showPerson, wantExtras } from "./extras";
import { Icon } from "./icon";

const REACTIONS = ["👍", "❤️", "😀", "🎉", "🤔"];
const LINK = /(https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]])/;
const EXCERPT = 90;

export interface RowGiven {
  /** Names it among those that are shown. */
  readonly name: number;
  readonly client: Client;
  readonly stream: number;
  readonly message: Message;
  readonly known: ReadonlyMap<number, Named>;
  readonly tongue: Language;
  readonly newDay: boolean;
  readonly together: boolean;
  readonly firstNew: boolean;
  readonly replied: Message | undefined;
  /** Somebody was led to it. */
  readonly wanted: boolean;
  readonly open: boolean;
  readonly onOpen: (name: number, on: boolean) => void;
  readonly onAim: (aim: Aim) => void;
}

/** A row that is drawn again only if something of it is another. Of elements it has as few as can be: many come within one frame. */
export class MessageRow extends Component<RowGiven> {
  override shouldComponentUpdate(next: RowGiven): boolean {
    return (Object.keys(next) as (keyof RowGiven)[]).some((name) => next[name] !== this.props[name]);
  }

  override render(given: RowGiven) {
    return drawn(given);
  }
}

function drawn(given: RowGiven) {
  const { client, stream, message, known, newDay, together, firstNew, replied, wanted, open, onOpen, name: row } = given;
  const me = client.me.value;
  const name = nameOf(message.author, me, known);
  const { state } = message;
  const isMentioned = me !== null && message.mentions.includes(me.user);
  const follows = together && !firstNew;
  const marks = [together && !firstNew && "together", open && "open", isMentioned && "for-me", wanted && "wanted"].filter(Boolean).join(" ");
  return (
    <>
      {newDay && (
        <p class="day">
          <span>{day(message.at)}</span>
        </p>
      )}
      {firstNew && (
        <p class="day new">
          <span>{say("talk.new")}</span>
        </p>
      )}
      <div class={`message ${state} ${marks}`} tabIndex={wanted ? -1 : undefined}>
        {!follows && Avatar({ user: message.author, name })}
        <div class="body">
          {!follows && (
            <p class="who">
              <button class="person" onClick={() => showPerson(message.author)}>
                <strong dir="auto">{name}</strong>
              </button>
              <time dateTime={new Date(message.at * 1000).toISOString()}>{clock(message.at)}</time>
            </p>
          )}
          {message.replyTo > 0 && (
            <p class="replied" dir="auto">
              <Icon name="reply" />
              {replied ? `${nameOf(replied.author, me, known)}: ${replied.text.slice(0, EXCERPT)}` : say("talk.replyOlder")}
            </p>
          )}
          {!isOnlyFiles(message) && (
            <p class="text" dir="auto">
              {written(message, known, me?.user ?? 0, nameOf(me?.user ?? 0, me, known))}
              {message.edited && <small class="quiet"> {say("talk.edited")}</small>}
            </p>
          )}
          {message.attachments.length + message.files.length > 0 && <Files client={client} stream={stream} message={message} />}
          {message.reactions.size > 0 && <Reactions client={client} stream={stream} message={message} />}
          {state === "waiting" && (
            <p class="state">
              <Icon name="clock" />
              {say("talk.waiting")}
              {message.key < 0 && (
                <button class="plain" onClick={() => void client.discard(message.key)}>
                  {say("talk.cancel")}
                </button>
              )}
            </p>
          )}
          {state === "failed" && <FailedState client={client} message={message} />}
          {open && <Actions {...given} />}
        </div>
        {message.seq > 0 && (
          <button class="icon more" aria-expanded={open} aria-label={say("talk.actions", { name })} onClick={() => onOpen(row, !open)}>
            ⋯
          </button>
        )}
      </div>
    </>
  );
}

/** Nothing was written, and its text is its files' names: they stand there already. */
function isOnlyFiles({ text, attachments, files, edited }: Message): boolean {
  if (edited) return false;
  return files.length ? !text.trim() : attachments.length > 0 && text === attachments.map(({ name }) => name).join(", ");
}

function Files(given: { client: Client; stream: number; message: Message }) {
  const more = useLive(extras);
  useEffect(wantExtras, []);
  const { attachments, files } = given.message;
  return more ? <more.Files {...given} /> : <p class="quiet">{count("talk.files", attachments.length + files.length)}</p>;
}

function Actions({ client, stream, message, onAim, onOpen, name: row }: RowGiven) {
  const mine = message.author === client.me.value?.user;
  const react = (emoji: string) => {
    client.react(stream, message.seq, emoji, !message.reactions.get(emoji)?.has(client.me.value?.user ?? 0)).catch(() => undefined);
    onOpen(row, false);
  };
  return (
    <div class="actions" role="group" aria-label={say("talk.actions", { name: "" })}>
      {REACTIONS.map((one) => (
        <button key={one} class="emoji" aria-label={say("talk.react", { emoji: one })} onClick={() => react(one)}>
          {one}
        </button>
      ))}
      <button class="plain" onClick={() => onAim({ kind: "reply", message })}>
        <Icon name="reply" />
        {say("talk.reply")}
      </button>
      {mine && (
        <button class="plain" onClick={() => onAim({ kind: "edit", message })}>
          <Icon name="edit" />
          {say("talk.edit")}
        </button>
      )}
      {mine && (
        <button class="plain" onClick={() => void client.remove(stream, message.seq).catch(() => undefined)}>
          <Icon name="remove" />
          {say("talk.remove")}
        </button>
      )}
      {!mine && (
        <button class="plain" onClick={() => (onOpen(row, false), report(message.author, message.seq))}>
          <Icon name="flag" />
          {say("talk.report")}
        </button>
      )}
    </div>
  );
}

function Reactions({ client, stream, message }: { client: Client; stream: number; message: Message }) {
  const me = client.me.value?.user ?? 0;
  return (
    <p class="reactions">
      {[...message.reactions].map(([emoji, users]) => (
        <button key={emoji} aria-pressed={users.has(me)} aria-label={count("talk.reacted", users.size, { emoji })} onClick={() => void client.react(stream, message.seq, emoji, !users.has(me)).catch(() => undefined)}>
          {emoji} {users.size}
        </button>
      ))}
    </p>
  );
}

function FailedState({ client, message: { key, failed } }: { client: Client; message: Message }) {
  const again = async () => {
    if (key < 0) return client.retryFiles(key);
    // The same again, with all that went with it.
    const refused = client.failures.value.find((one) => one.key === key);
    await client.discard(key);
    if (refused) client.submit(refused.operation).catch(() => undefined);
  };
  return (
    <p class="state" role="alert">
      <Icon name="warn" />
      <span dir="auto">{say("talk.failed", { why: whyInWords(failed) })}</span>
      <button class="plain" onClick={() => void again()}>{say("app.again")}</button>
      <button class="plain" onClick={() => void client.discard(key)}>{say("sync.putAway")}</button>
    </p>
  );
}

/** Addresses become links, the names of whom is mentioned lead to them; everything else is text, whatever it looks like. */
function written({ text, mentions }: Message, known: ReadonlyMap<number, Named>, me: number, myName: string): ComponentChildren {
  if (!mentions.length && !text.includes("://")) return text;
  const people = mentions.map((user) => [user, `@${user === me ? myName : (known.get(user)?.display ?? "")}`] as const).filter(([, name]) => name.length > 1);
  return text.split(LINK).map((part, place) =>
    place % 2 ? (
      <a key={place} href={part} target="_blank" rel="noopener noreferrer nofollow">
        {part}
      </a>
    ) : (
      named(part, people, me)
    ),
  );
}

function named(text: string, people: readonly (readonly [number, string])[], me: number): ComponentChildren {
  for (const [user, name] of people) {
    const place = text.indexOf(name);
    if (place < 0) continue;
    return (
      <>
        {named(text.slice(0, place), people, me)}
        <button class={user === me ? "person mention me" : "person mention"} onClick={() => showPerson(user)}>
          <bdi>{name}</bdi>
        </button>
        {named(text.slice(place + name.length), people, me)}
      </>
    );
  }
  return text;
}
