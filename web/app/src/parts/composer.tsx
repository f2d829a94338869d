/** The line to write in. What is written is kept until it is sent off; sending waits for nobody. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Client, Message } from "../../../sdk/src/api";
import { keep, recall } from "../kept";
import { nameOf, people } from "../session";
import { say } from "../words";
import { Icon } from "./icon";

/** A message that is answered or mended. */
export interface Aim {
  readonly kind: "reply" | "edit";
  readonly message: Message;
}

const TEXT_MAX = 4000;
const TYPING_EVERY_MS = 3000;

interface Given {
  readonly client: Client;
  readonly stream: number;
  readonly channel: string;
  readonly aim: Aim | null;
  readonly onDone: () => void;
}

export function Composer({ client, stream, channel, aim, onDone }: Given) {
  const draft = `draft/${stream}`;
  const [text, setText] = useState(() => recall(draft));
  const field = useRef<HTMLTextAreaElement>(null);
  const typed = useRef(0);

  useEffect(() => {
    if (aim?.kind === "edit") setText(aim.message.text);
    if (aim) field.current?.focus();
  }, [aim]);
  useEffect(() => {
    // As tall as what is in it; the style says how tall at most.
    const place = field.current!;
    place.style.height = "auto";
    place.style.height = `${place.scrollHeight + 2}px`;
  }, [text]);

  const write = (now: string) => {
    setText(now);
    if (aim?.kind !== "edit") keep(draft, now);
    if (!now || Date.now() - typed.current < TYPING_EVERY_MS) return;
    typed.current = Date.now();
    client.typing(stream);
  };
  const stop = () => {
    if (aim?.kind === "edit") setText(recall(draft));
    onDone();
  };
  const send = () => {
    const said = text.trim();
    if (!said) return;
    // Shown at once by the conversation, with what becomes of it.
    const sent = aim?.kind === "edit" ? client.edit(stream, aim.message.seq, said) : client.say(stream, said, aim ? { replyTo: aim.message.seq } : {});
    sent.catch(() => undefined);
    typed.current = 0;
    if (aim?.kind === "edit") return stop();
    keep(draft, "");
    setText("");
    onDone();
    field.current?.focus();
  };
  const pressed = (event: KeyboardEvent) => {
    if (event.key === "Escape" && aim) stop();
    // On a phone the key makes a new line, and there is a button.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || matchMedia("(pointer: coarse)").matches) return;
    event.preventDefault();
    send();
  };

  return (
    <form class="composer" onSubmit={(event) => (event.preventDefault(), send())}>
      {aim && (
        <p class="aim">
          <Icon name={aim.kind} />
          <span dir="auto">{aim.kind === "edit" ? say("talk.editing") : say("talk.replying", { name: nameOf(aim.message.author, client.me.value, people.value) })}</span>
          <button type="button" class="icon" aria-label={say("talk.cancel")} onClick={stop}>
            <Icon name="stop" />
          </button>
        </p>
      )}
      <textarea ref={field} rows={1} value={text} maxLength={TEXT_MAX} dir="auto" aria-label={say("talk.write", { channel })} placeholder={say("talk.write", { channel })} enterkeyhint="send" onInput={(event) => write(event.currentTarget.value)} onKeyDown={pressed} />
      <button class="send" aria-label={say("talk.send")} disabled={!text.trim()}>
        <Icon name="send" />
      </button>
    </form>
  );
}
