/** One message: who, when, what, reactions; what can be done with it; and, of one's own, whether it is sent. */
import type { ComponentChildren } from "preact";
import type { Client, Message } from "../../../sdk/src/api";
import { useLive } from "../live";
import { nameOf, people } from "../session";
import { clock, count, day, say } from "../words";
import { Avatar } from "./avatar";
import type { Aim } from "./composer";
import { Icon } from "./icon";

const REACTIONS = ["👍", "❤️", "😀", "🎉", "🤔"];
const LINK = /(https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]])/;
const EXCERPT = 90;

interface Given {
  readonly client: Client;
  readonly stream: number;
  readonly message: Message;
  readonly newDay: boolean;
  readonly together: boolean;
  readonly firstNew: boolean;
  readonly replied: Message | undefined;
  readonly open: boolean;
  readonly onOpen: (on: boolean) => void;
  readonly onAim: (aim: Aim) => void;
}

export function MessageRow(given: Given) {
  const { client, stream, message, newDay, together, firstNew, replied, open, onOpen } = given;
  const known = useLive(people);
  const me = client.me.value;
  const name = nameOf(message.author, me, known);
  const { state } = message;
  return (
    <>
      {newDay && (
        <li class="day">
          <span>{day(message.at)}</span>
        </li>
      )}
      {firstNew && (
        <li class="day new">
          <span>{say("talk.new")}</span>
        </li>
      )}
      <li class={`message ${state}${together && !newDay && !firstNew ? " together" : ""}${open ? " open" : ""}`}>
        <Avatar user={message.author} name={name} />
        <div class="body">
          <p class="who">
            <strong dir="auto">{name}</strong> <time dateTime={new Date(message.at * 1000).toISOString()}>{clock(message.at)}</time>
          </p>
          {message.replyTo > 0 && (
            <p class="replied" dir="auto">
              <Icon name="reply" />
              {replied ? `${nameOf(replied.author, me, known)}: ${replied.text.slice(0, EXCERPT)}` : say("talk.replyOlder")}
            </p>
          )}
          <p class="text" dir="auto">
            {linked(message.text)}
            {message.edited && <small class="quiet"> {say("talk.edited")}</small>}
          </p>
          {message.attachments.length > 0 && <p class="quiet">{count("talk.files", message.attachments.length)}</p>}
          <Reactions client={client} stream={stream} message={message} />
          {state === "waiting" && (
            <p class="state">
              <Icon name="clock" />
              {say("talk.waiting")}
            </p>
          )}
          {state === "failed" && <FailedState client={client} stream={stream} message={message} />}
          {open && <Actions {...given} />}
        </div>
        {message.seq > 0 && (
          <button class="icon more" aria-expanded={open} aria-label={say("talk.actions", { name })} onClick={() => onOpen(!open)}>
            <Icon name="more" />
          </button>
        )}
      </li>
    </>
  );
}

function Actions({ client, stream, message, onAim, onOpen }: Given) {
  const mine = message.author === client.me.value?.user;
  const react = (emoji: string) => {
    client.react(stream, message.seq, emoji, !message.reactions.get(emoji)?.has(client.me.value?.user ?? 0)).catch(() => undefined);
    onOpen(false);
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
    </div>
  );
}

function Reactions({ client, stream, message }: { client: Client; stream: number; message: Message }) {
  if (!message.reactions.size) return null;
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

function FailedState({ client, stream, message: { key, text, failed, replyTo } }: { client: Client; stream: number; message: Message }) {
  const again = async () => {
    await client.discard(key);
    client.say(stream, text, { replyTo }).catch(() => undefined);
  };
  return (
    <p class="state" role="alert">
      <Icon name="warn" />
      <span dir="auto">{say("talk.failed", { why: failed })}</span>
      <button class="plain" onClick={() => void again()}>{say("app.again")}</button>
      <button class="plain" onClick={() => void client.discard(key)}>{say("sync.putAway")}</button>
    </p>
  );
}

/** Addresses become links; everything else is text, whatever it looks like. */
function linked(text: string): ComponentChildren {
  return text.split(LINK).map((part, place) =>
    place % 2 ? (
      <a key={place} href={part} target="_blank" rel="noopener noreferrer nofollow">
        {part}
      </a>
    ) : (
      part
    ),
  );
}
