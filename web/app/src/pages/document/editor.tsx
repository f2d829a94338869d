/** The text that people write together, who is here, and whether what one wrote has arrived. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import type { Document, DocumentView } from "../../../../sdk/src/documents";
import { useLive } from "../../live";
import { Avatar } from "../../parts/avatar";
import { Icon } from "../../parts/icon";
import { learnNames, nameOf, people } from "../../session";
import type { Paper } from "./paper";
import { useOnline } from "./online";
import { Sheet } from "./sheet";
import { readWhere, writeWhere } from "./where";
import { book, type DocumentKey } from "./words";

const { say } = book;
const HERE_MS = 15_000;
/** What is sent sooner is not spoken of. */
const CALM_MS = 700;

interface Given {
  readonly client: Client;
  readonly document: Document;
  readonly paper: Paper;
  readonly title: string;
  readonly space: number;
  readonly mayWrite: boolean;
}

export function Editor({ client, document, paper, title, space, mayWrite }: Given) {
  const view = useLive(document);
  const sheet = useSheet(document, paper);
  const writes = mayWrite && !view.refused && view.here;
  return (
    <>
      <LeftBehind document={document} texts={view.leftBehind} />
      <div class="tools">
        <Saved client={client} view={view} mayWrite={mayWrite} />
        {writes && (
          <div class="undo">
            <button class="icon" aria-label={say("undo")} title={say("undo")} onClick={() => sheet.at.current?.undo()}>
              <Icon name="undo" />
            </button>
            <button class="icon" aria-label={say("redo")} title={say("redo")} onClick={() => sheet.at.current?.redo()}>
              <Icon name="redo" />
            </button>
          </div>
        )}
      </div>
      <Here client={client} view={view} paper={paper} sheet={sheet.at.current} space={space} />
      {view.broken > 0 && <p class="note">{say("broken")}</p>}
      <div class="paper">
        <div class="back" dir="auto" aria-hidden="true" ref={sheet.back} />
        <textarea ref={sheet.area} aria-label={title} dir="auto" readOnly={!writes} placeholder={writes ? say("placeholder") : ""} autocomplete="off" spellcheck />
      </div>
    </>
  );
}

function useSheet(document: Document, paper: Paper) {
  const area = useRef<HTMLTextAreaElement>(null);
  const back = useRef<HTMLDivElement>(null);
  const at = useRef<Sheet | null>(null);
  const [, again] = useState(0);
  useEffect(() => {
    const sheet = new Sheet(area.current!, back.current!, paper);
    at.current = sheet;
    again((count) => count + 1);
    const isFocused = () => globalThis.document.activeElement === area.current;
    const tell = () => {
      if (globalThis.document.visibilityState !== "visible") return;
      const { selectionStart, selectionEnd } = area.current!;
      document.sayWhere(isFocused() ? writeWhere(paper, selectionStart, selectionEnd) : new Uint8Array([1, 0]));
    };
    const gone = () => globalThis.document.visibilityState !== "visible" && document.sayWhere(new Uint8Array());
    sheet.onSelect = tell;
    const beat = setInterval(tell, HERE_MS);
    globalThis.document.addEventListener("visibilitychange", gone);
    // Once the document is here, and whenever the line is.
    let wasThere = false;
    const off = document.subscribe(({ caughtUp }) => {
      if (caughtUp && !wasThere) tell();
      wasThere = caughtUp;
    });
    return () => {
      off();
      clearInterval(beat);
      globalThis.document.removeEventListener("visibilitychange", gone);
      sheet.close();
      at.current = null;
    };
  }, [document, paper]);
  return { area, back, at };
}

/** What can be said of what was written here, and no more than that. */
function standing({ unsent, kept, refused, caughtUp, here }: DocumentView, online: boolean, mayWrite: boolean): readonly [string, DocumentKey] {
  if (refused === FULL) return ["bad", "full"];
  if (refused) return ["bad", "refused"];
  if (unsent) return online ? ["busy", "sending"] : kept ? ["away", "kept"] : ["busy", "keeping"];
  if (!online) return ["away", here ? "offline" : "notHere"];
  if (!caughtUp) return ["busy", "catchingUp"];
  return ["good", mayWrite ? "saved" : "readOnly"];
}
const FULL = 25;
const SIGNS = { good: "done", busy: "cloud", away: "off", bad: "warn" } as const;

function Saved({ client, view, mayWrite }: { client: Client; view: DocumentView; mayWrite: boolean }) {
  const online = useOnline(client);
  const [mood, key] = standing(view, online, mayWrite);
  const [shown, setShown] = useState<readonly [string, DocumentKey]>([mood, key]);
  useEffect(() => {
    // What passes at every key would only be noise, also to the ear.
    const late = setTimeout(() => setShown([mood, key]), mood === "busy" ? CALM_MS : 0);
    return () => clearTimeout(late);
  }, [mood, key]);
  return (
    <p class={`saved ${shown[0]}`} role="status" data-kept={view.kept}>
      <Icon name={SIGNS[shown[0] as keyof typeof SIGNS]} />
      <span>{say(shown[1])}</span>
    </p>
  );
}

/** Who else is here, and in which line. */
function Here({ client, view, paper, sheet, space }: { client: Client; view: DocumentView; paper: Paper; sheet: Sheet | null; space: number }) {
  const known = useLive(people);
  const me = useLive(client.me);
  const others = [...view.people].filter(([user]) => user !== me?.user);
  const unknown = others.map(([user]) => user).filter((user) => !known.has(user));
  useEffect(() => {
    if (unknown.length && space) void learnNames(client, space, unknown);
  }, [unknown.join(), space]);
  const marks = others.map(([user, data]) => ({ user, name: nameOf(user, me, known), index: readWhere(paper, data) }));
  useEffect(() => sheet?.show(marks), [sheet, JSON.stringify(marks)]);
  if (!marks.length) return null;
  return (
    <ul class="here" aria-label={say("here")}>
      {marks.map(({ user, name, index }) => (
        <li key={user}>
          <Avatar user={user} name={name} />
          <span dir="auto">{name}</span>
          {index >= 0 && <small>{say("line", { n: paper.shown.slice(0, index).split("\n").length })}</small>}
        </li>
      ))}
    </ul>
  );
}

/** What could not become a part of the document is here as a text, until the person has seen it. */
function LeftBehind({ document, texts }: { document: Document; texts: readonly string[] }) {
  if (!texts.length) return null;
  return (
    <section class="card left" role="alert" aria-labelledby="left-title">
      <h2 id="left-title">{say("leftTitle")}</h2>
      <p class="quiet">{say("leftWhy")}</p>
      {texts.map((text, place) => (
        <textarea key={place} readOnly rows={4} dir="auto" aria-labelledby="left-title" value={text} />
      ))}
      <div class="line-buttons">
        <button onClick={() => void navigator.clipboard?.writeText(texts.join("\n\n"))}>{say("copy")}</button>
        <button onClick={() => document.dismiss()}>{say("dismiss")}</button>
      </div>
    </section>
  );
}
