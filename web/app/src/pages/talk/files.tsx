/** A message's files: pictures, other files, and those that it waits for. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Client, Message, WaitingFile } from "../../../../sdk/src/api";
import type { Attachment } from "../../../../sdk/src/protocol";
import { useLive } from "../../live";
import { pictures, textFirst } from "../../look";
import { Icon } from "../../parts/icon";
import { askAgain, linksOf, look, type Linked } from "./links";
import { hexOf, keepOwn, ownPicture } from "./own";
import { bytes, kind, say } from "./words";

/** A picture is so wide at most, and so tall, in pixels of the page. */
const WIDE_PX = 360;
const TALL_PX = 320;
const LEAST_PX = 80;
const AVIF = "image/avif";

interface Given {
  readonly client: Client;
  readonly stream: number;
  readonly message: Message;
}

export function Files({ client, stream, message }: Given) {
  const { attachments, files, key, seq } = message;
  return (
    <ul class="files">
      {attachments.map((one) => (
        <li key={one.id}>{one.width > 0 ? <Picture client={client} stream={stream} seq={seq} file={one} /> : <OtherFile client={client} stream={stream} seq={seq} file={one} />}</li>
      ))}
      {files.map((one, place) => (
        <li key={place}>
          <Waiting client={client} message={key} place={place} file={one} />
        </li>
      ))}
    </ul>
  );
}

interface FileGiven {
  readonly client: Client;
  readonly stream: number;
  /** The message's; 0: it is not committed. */
  readonly seq: number;
  readonly file: Attachment;
}

/** The links of a file while it is in sight, and where to say what is. */
function useLinks({ client, stream, seq, file }: FileGiven, on = true) {
  const place = useRef<HTMLElement>(null);
  const links = useLive(linksOf(stream, seq));
  useEffect(() => {
    if (!seq || !on) return;
    let end: (() => void) | undefined;
    const watch = new IntersectionObserver(
      ([entry]) => {
        if (entry?.isIntersecting) end ??= look(client, stream, seq);
        else end = void end?.();
      },
      { rootMargin: "300px" },
    );
    watch.observe(place.current!);
    return () => {
      watch.disconnect();
      end?.();
    };
  }, [seq, on]);
  return [place, links.get(file.id) ?? []] as const;
}

function Picture(given: FileGiven) {
  const { client, stream, seq, file } = given;
  const asText = useLive(textFirst);
  const [asked, setAsked] = useState(false);
  const [isHere, setHere] = useState(false);
  const own = ownPicture(hexOf(file.hash));
  const isShown = !asText || asked;
  const [place, links] = useLinks(given, isShown);
  const best = largest(links);
  if (!isShown) {
    return (
      <button class="file" onClick={() => setAsked(true)}>
        <Icon name="file" />
        <span>
          {say("files.show")} <small class="quiet">{`${kind(file.media_type)}, ${bytes(Math.min(file.size, sizeOf(links) || file.size))}`}</small>
        </span>
      </button>
    );
  }
  const scale = Math.min(1, WIDE_PX / file.width, TALL_PX / file.height);
  const width = Math.max(LEAST_PX, Math.round(file.width * scale));
  const wanted = pictures() === "small" && !asked ? 0 : width * Math.min(2, devicePixelRatio);
  const [webp, avif] = [chosen(links, "image/webp", wanted), chosen(links, AVIF, wanted)];
  const box = (
    <>
      <Placeholder raw={file.placeholder} />
      {own ? (
        <img src={own} alt={file.name} />
      ) : (
        webp && (
          <picture>
            {avif && <source type={AVIF} srcset={avif.url} />}
            <img class={isHere ? "" : "coming"} src={webp.url} alt={file.name} decoding="async" onLoad={() => setHere(true)} onError={() => askAgain(client, stream, seq)} />
          </picture>
        )
      )}
    </>
  );
  return (
    <span ref={place} class="picture" style={{ width: `${width}px`, aspectRatio: `${file.width} / ${file.height}` }}>
      {best ? (
        <a href={best.url} target="_blank" rel="noopener" aria-label={say("files.open", { name: file.name })}>
          {box}
        </a>
      ) : (
        <span class="there" role="img" aria-label={file.name}>
          {box}
        </span>
      )}
    </span>
  );
}

function sizeOf(links: readonly Linked[]): number {
  return chosen(links, "image/webp", 0)?.bytes ?? 0;
}

/** The narrowest that is as wide as that, or else the widest. */
function chosen(links: readonly Linked[], mediaType: string, width: number): Linked | undefined {
  const all = links.filter((one) => one.media_type === mediaType).sort((a, b) => a.width - b.width);
  return all.find((one) => one.width >= width) ?? all.at(-1);
}

function largest(links: readonly Linked[]): Linked | undefined {
  return chosen(links, "image/webp", Infinity) ?? links[0];
}

/** What it looks like from afar: a cell is a dot of a tiny picture, which the browser draws large and soft. */
function Placeholder({ raw }: { raw: Uint8Array }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [columns, rows] = [(raw[0] ?? 0) >> 4, (raw[0] ?? 0) & 15];
  const isWhole = columns > 0 && rows > 0 && raw.length >= 1 + columns * rows * 3;
  useEffect(() => {
    if (!isWhole) return;
    const dots = new ImageData(columns, rows);
    for (let n = 0; n < columns * rows; n++) dots.data.set([raw[1 + n * 3]!, raw[2 + n * 3]!, raw[3 + n * 3]!, 255], n * 4);
    canvas.current!.getContext("2d")!.putImageData(dots, 0, 0);
  }, [raw]);
  return isWhole ? <canvas ref={canvas} width={columns} height={rows} aria-hidden="true" /> : null;
}

function OtherFile(given: FileGiven) {
  const { file } = given;
  const [place, links] = useLinks(given);
  const url = links[0]?.url;
  const what = (
    <>
      <Icon name="file" />
      <span dir="auto">
        {file.name} <small class="quiet">{`${kind(file.media_type)}, ${bytes(file.size)}`}</small>
      </span>
    </>
  );
  return (
    <span ref={place}>
      {url ? (
        <a class="file" href={url} target="_blank" rel="noopener" download={file.name}>
          {what}
        </a>
      ) : (
        <span class="file">{what}</span>
      )}
    </span>
  );
}

function Waiting({ client, message, place, file }: { client: Client; message: number; place: number; file: WaitingFile }) {
  const [url, setUrl] = useState("");
  const isPicture = file.media_type.startsWith("image/");
  useEffect(() => {
    if (!isPicture) return;
    let left = false;
    void client.waitingFile(message, place).then((blob) => {
      if (blob && !left) setUrl(URL.createObjectURL(blob));
    });
    return () => void (left = true);
  }, [message, place]);
  // When it is sent it is shown from here, too.
  useEffect(() => {
    if (url) keepOwn(file.hash, url);
  }, [url, file.hash]);
  const { name, size, done, state } = file;
  const percent = size ? Math.min(100, Math.round((done / size) * 100)) : 0;
  return (
    <div class={`file waits ${state}`}>
      {url ? <img src={url} alt="" /> : <Icon name="file" />}
      <span class="grow">
        <bdi>{name}</bdi> <small class="quiet">{bytes(size)}</small>
        {state === "sending" && <progress value={percent} max={100} aria-label={say("wait.sending", { name })} />}
        <small class="quiet" dir="auto">
          {state === "refused" ? say("wait.refused") : state === "ready" ? say("wait.ready") : state === "sending" ? `${percent} %` : say("wait.waiting")}
        </small>
      </span>
    </div>
  );
}
