/** A section's pictures and files: as links of the library, which need the network; in text first none comes unasked. */
import { useEffect, useMemo, useState } from "preact/hooks";
import type { Client, Message } from "../../../../sdk/src/api";
import { StreamKind } from "../../../../sdk/src/protocol";
import { useAct } from "../../act";
import { useLive } from "../../live";
import { pictures, textFirst } from "../../look";
import { Icon } from "../../parts/icon";
import { say } from "../lessons/words";
import { bytes, kind } from "../talk/words";

/** A lesson is read on a page so wide, in its own pixels. */
const WIDE_PX = 640;
const FILES_MAX = 8;

interface Linked {
  readonly media_type: string;
  readonly bytes: number;
  readonly width: number;
  readonly url: string;
}

interface LibraryFile {
  readonly upload: number;
  readonly name: string;
  readonly media_type: string;
  readonly width: number;
  readonly height: number;
  readonly renditions: readonly Linked[];
}

export function LessonFiles({ client, community, files }: { client: Client; community: number; files: readonly number[] }) {
  const { state } = useLive(client.status);
  const [found, setFound] = useState<readonly LibraryFile[] | null>(null);
  const names = files.join();
  useEffect(() => {
    if (!names || state !== "online") return;
    let left = false;
    const ask = client.ask<{ readonly files: readonly LibraryFile[] }>("POST", `communities/${community}/library/links`, { uploads: files });
    // Refused or cut: what is said below stays, and the next time somebody is online it is asked again.
    ask.then((answer) => void (left || setFound(answer.files)), () => undefined);
    return () => void (left = true);
  }, [names, state, community]);
  if (!files.length) return null;
  if (!found) return <p class="quiet">{state === "online" ? say("files.coming") : say("files.away", { n: files.length })}</p>;
  return (
    <ul class="files">
      {found.map((one) => (
        <li key={one.upload}>{one.width > 0 ? <Picture file={one} /> : <Plain file={one} />}</li>
      ))}
    </ul>
  );
}

function chosen({ renditions }: LibraryFile, mediaType: string, wanted: number): Linked | undefined {
  const all = renditions.filter((one) => one.media_type === mediaType).sort((a, b) => a.width - b.width);
  return all.find((one) => one.width >= wanted) ?? all.at(-1);
}

function Picture({ file }: { file: LibraryFile }) {
  const asText = useLive(textFirst);
  const [asked, setAsked] = useState(false);
  const wanted = pictures() === "full" || asked ? Math.min(WIDE_PX, innerWidth) * Math.min(2, devicePixelRatio) : 0;
  const [webp, avif] = [chosen(file, "image/webp", wanted), chosen(file, "image/avif", wanted)];
  // It is being made smaller; whoever comes later sees it.
  if (!webp) return <Plain file={file} />;
  if (asText && !asked) {
    return (
      <button class="file" onClick={() => setAsked(true)}>
        <Icon name="file" />
        <span dir="auto">
          {file.name} <small class="quiet">{`${kind(file.media_type)}, ${bytes(chosen(file, "image/webp", 0)!.bytes)}`}</small>
        </span>
      </button>
    );
  }
  return (
    <picture class="lesson-picture">
      {avif && <source type="image/avif" srcset={avif.url} />}
      <img src={webp.url} alt={file.name} width={file.width} height={file.height} loading="lazy" decoding="async" />
    </picture>
  );
}

function Plain({ file }: { file: LibraryFile }) {
  const [first] = file.renditions;
  const what = (
    <>
      <Icon name="file" />
      <span dir="auto">
        {file.name} <small class="quiet">{first ? `${kind(file.media_type)}, ${bytes(first.bytes)}` : kind(file.media_type)}</small>
      </span>
    </>
  );
  if (!first) return <span class="file">{what}</span>;
  return (
    <a class="file" href={first.url} target="_blank" rel="noopener" download={file.name}>
      {what}
    </a>
  );
}

interface EditGiven {
  readonly client: Client;
  readonly community: number;
  readonly section: number;
  readonly version: number;
  readonly files: readonly number[];
  /** Writes the list without one of them. */
  readonly onLeave: (files: readonly number[]) => void;
}

/** For who writes: what is there, what waits to be sent, and more. */
export function EditFiles({ client, community, section, version, files, onLeave }: EditGiven) {
  const { spaces } = useLive(client.places);
  const library = spaces.find((one) => one.space === community)?.streams.find(({ kind: of }) => of === StreamKind.LIBRARY)?.stream ?? 0;
  const waiting = useMemo(() => client.lessonFiles(library, section), [client, library, section]);
  useEffect(() => () => waiting.close(), [waiting]);
  const waits = useLive<readonly Message[]>(waiting);
  const { wrong, act } = useAct();
  const room = FILES_MAX - files.length - waits.reduce((sum, one) => sum + one.files.length, 0);
  const add = ({ currentTarget }: { readonly currentTarget: HTMLInputElement }) => {
    const more = [...(currentTarget.files ?? [])].slice(0, room).map((blob) => ({ name: blob.name, blob }));
    currentTarget.value = "";
    if (!more.length) return;
    // What becomes of it is shown below as long as it waits.
    void act(async () => void client.addLessonFiles(library, { community, section, version, before: files }, more).catch(() => undefined));
  };
  return (
    <div class="lesson-files">
      <LessonFiles client={client} community={community} files={files} />
      {files.length > 0 && (
        <button type="button" class="plain" onClick={() => onLeave(files.slice(0, -1))}>
          {say("files.leaveLast")}
        </button>
      )}
      {waits.map((one) => (
        <div key={one.key} class="file waits" role="status">
          <Icon name="file" />
          <span class="grow" dir="auto">
            {one.files.map(({ name }) => name).join(", ")} <small class="quiet">{one.failed || say("files.waits")}</small>
          </span>
          {one.failed && (
            <button type="button" class="plain" onClick={() => void client.retryFiles(one.key)}>
              {say("files.retry")}
            </button>
          )}
          <button type="button" class="plain" onClick={() => void client.discard(one.key)}>
            {say("files.callOff")}
          </button>
        </div>
      ))}
      {library > 0 && room > 0 && (
        <label class="button file-choice">
          <Icon name="file" />
          {say("files.add")}
          <input type="file" multiple class="heard" onChange={add} />
        </label>
      )}
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
    </div>
  );
}
