/**
 * The line to write in. What is written is kept until it is sent off; sending waits for nobody.
 *
 * Files are added by a button, from the clipboard or by dropping them; after `@` comes a list of names. Both come with `extras`.
 */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Client, Message } from "../../../sdk/src/api";
import { keep, recall } from "../kept";
import { useLive } from "../live";
import { nameOf, people } from "../session";
import { say } from "../words";
import { extras, wantExtras } from "./extras";
import { Icon } from "./icon";

/** A message that is answered or mended. */
export interface Aim {
  readonly kind: "reply" | "edit";
  readonly message: Message;
}

/** A file that is to go with the message. `bytes`: what is sent, which may be less than what was chosen. */
export interface Chosen {
  readonly id: number;
  readonly name: string;
  readonly original: Blob;
  readonly bytes: Blob;
}

const TEXT_MAX = 4000;
const TYPING_EVERY_MS = 3000;
const MENTIONS_MAX = 20;
/** `@` and what is written of a name, at the end of what stands before the cursor. */
const ASKED = /(?:^|[\s(])@([\p{L}\p{M}\p{N}_.'’-]{0,30}(?: [\p{L}\p{M}\p{N}_.'’-]{0,30})?)$/u;

interface Given {
  readonly client: Client;
  readonly stream: number;
  readonly space: number;
  readonly channel: string;
  readonly aim: Aim | null;
  readonly onDone: () => void;
}

let lastId = 0;

export function Composer({ client, stream, space, channel, aim, onDone }: Given) {
  const draft = `draft/${stream}`;
  const [text, setText] = useState(() => recall(draft));
  const [files, setFiles] = useState<readonly Chosen[]>([]);
  const [asked, setAsked] = useState("");
  const [isOver, setOver] = useState(false);
  const [noRoom, setNoRoom] = useState(false);
  const field = useRef<HTMLTextAreaElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  const typed = useRef(0);
  const more = useLive(extras);
  const isEdit = aim?.kind === "edit";

  useEffect(() => {
    if (isEdit) setText(aim!.message.text);
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
    if (!isEdit) keep(draft, now);
    look();
    if (!now || Date.now() - typed.current < TYPING_EVERY_MS) return;
    typed.current = Date.now();
    client.typing(stream);
  };
  /** Whether a name is asked for, where the cursor is. */
  const look = () => {
    const { value, selectionStart, selectionEnd } = field.current!;
    const found = selectionStart === selectionEnd && !isEdit ? ASKED.exec(value.slice(0, selectionStart)) : null;
    setAsked(found ? `@${found[1]}` : "");
    if (found) wantExtras();
  };
  const mention = (user: number, name: string) => {
    const place = field.current!;
    const end = place.selectionStart;
    const begin = end - asked.length;
    const now = `${text.slice(0, begin)}@${name} ${text.slice(end)}`;
    const before = (JSON.parse(recall(`${draft}/who`) || "[]") as [number, string][]).filter(([one]) => one !== user);
    keep(`${draft}/who`, JSON.stringify([...before, [user, name]]));
    write(now);
    setAsked("");
    requestAnimationFrame(() => place.setSelectionRange(begin + name.length + 2, begin + name.length + 2));
  };
  /** Those whose names were chosen, and still stand there. */
  const mentioned = (said: string): number[] => {
    const chosen = JSON.parse(recall(`${draft}/who`) || "[]") as [number, string][];
    return chosen.filter(([, name]) => said.includes(`@${name}`)).map(([user]) => user).slice(0, MENTIONS_MAX);
  };

  const add = (given: Iterable<File> | null | undefined) => {
    const added = [...(given ?? [])].map((one): Chosen => ({ id: ++lastId, name: one.name || "file", original: one, bytes: one }));
    if (!added.length || isEdit) return;
    wantExtras();
    setNoRoom(false);
    setFiles((before) => [...before, ...added]);
    field.current?.focus();
  };
  const change = (id: number, bytes: Blob | null, name?: string) =>
    setFiles((before) => before.flatMap((one) => (one.id !== id ? one : bytes ? { ...one, bytes, name: name ?? one.name } : [])));

  const stop = () => {
    if (isEdit) setText(recall(draft));
    onDone();
  };
  const wrong = noRoom ? say("talk.noRoom") : (more?.faultOf(files) ?? "");
  const maySend = (text.trim() || files.length > 0) && (!wrong || noRoom);
  const send = () => {
    const said = text.trim();
    if (!maySend) return;
    // Shown at once by the conversation, with what becomes of it.
    const options = { replyTo: aim?.message.seq ?? 0, mentions: mentioned(said), files: files.map(({ name, bytes }) => ({ name, blob: bytes })) };
    const sent = isEdit ? client.edit(stream, aim!.message.seq, said) : client.say(stream, said, options);
    sent.catch((error: unknown) => {
      // What the server refuses is shown where it stands; what this device could not keep is here again.
      if (!files.length || Object.hasOwn(error as object, "code")) return;
      setFiles(files);
      setText((now) => now || said);
      setNoRoom(true);
    });
    typed.current = 0;
    if (isEdit) return stop();
    keep(draft, "");
    keep(`${draft}/who`, "");
    setText("");
    setFiles([]);
    setAsked("");
    onDone();
    field.current?.focus();
  };
  const pressed = (event: KeyboardEvent) => {
    // The list of names, if it is open, has the arrows, Enter and Escape.
    if (asked && more?.namesPressed(event)) return;
    if (event.key === "Escape" && aim) stop();
    // On a phone the key makes a new line, and there is a button.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || matchMedia("(pointer: coarse)").matches) return;
    event.preventDefault();
    send();
  };
  // Wherever on the page: a browser would leave the page for the file.
  const dropped = useRef(add);
  dropped.current = add;
  useEffect(() => {
    const hover = (event: DragEvent) => (event.preventDefault(), setOver(event.type === "dragover"));
    const drop = (event: DragEvent) => (hover(event), dropped.current(event.dataTransfer?.files));
    const ways = { dragover: hover, dragleave: hover, drop };
    for (const [name, act] of Object.entries(ways)) addEventListener(name as "drop", act);
    return () => {
      for (const [name, act] of Object.entries(ways)) removeEventListener(name as "drop", act);
    };
  }, []);

  const label = say("talk.write", { channel });
  return (
    <form class={isOver ? "composer dropping" : "composer"} onSubmit={(event) => (event.preventDefault(), send())}>
      {aim && (
        <p class="aim">
          <Icon name={aim.kind} />
          <span dir="auto">{isEdit ? say("talk.editing") : say("talk.replying", { name: nameOf(aim.message.author, client.me.value, people.value) })}</span>
          <button type="button" class="icon" aria-label={say("talk.cancel")} onClick={stop}>
            <Icon name="stop" />
          </button>
        </p>
      )}
      {files.length > 0 && more && <more.Tray client={client} files={files} wrong={wrong} onChange={change} />}
      {asked && more && <more.Names client={client} space={space} asked={asked.slice(1)} onPick={mention} onClose={() => setAsked("")} />}
      <input ref={picker} type="file" multiple hidden onChange={({ currentTarget: from }) => (add(from.files), (from.value = ""))} />
      <button type="button" class="icon attach" aria-label={say("talk.attach")} title={say("talk.attach")} disabled={isEdit} onClick={() => picker.current?.click()}>
        <Icon name="clip" />
      </button>
      <textarea
        ref={field}
        rows={1}
        value={text}
        maxLength={TEXT_MAX}
        dir="auto"
        aria-label={label}
        placeholder={label}
        enterkeyhint="send"
        aria-autocomplete="list"
        aria-haspopup="listbox"
        aria-controls={asked && more ? "names" : undefined}
        onInput={(event) => write(event.currentTarget.value)}
        onClick={look}
        onBlur={() => setAsked("")}
        onKeyDown={pressed}
        onPaste={(event) => add(event.clipboardData?.files)}
      />
      <button class="send" aria-label={say("talk.send")} disabled={!maySend}>
        <Icon name="send" />
      </button>
    </form>
  );
}
