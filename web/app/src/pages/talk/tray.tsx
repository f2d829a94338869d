/** What goes with the message that is being written: small pictures, names and sizes; each can be taken out, and a large photo made smaller. */
import { useEffect, useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import { pictures } from "../../look";
import type { Chosen } from "../../parts/composer";
import { Icon } from "../../parts/icon";
import { bytes, say } from "./words";

/** Of one message, as the server takes it. */
const FILES_MAX = 8;
/** Others are shown so much of a picture at most, in pixels of its width. */
const WIDTH_MAX = 1280;
const QUALITY = 0.8;
/** From here on it is offered to make a picture smaller: on a weak link, on any. */
const LARGE_WEAK = 200_000;
const LARGE = 1_500_000;
const SHRINKABLE: readonly string[] = ["image/jpeg", "image/png", "image/webp"];

/** Why these cannot go with one message; empty: they can. */
export function faultOf(files: readonly Chosen[]): string {
  if (files.length > FILES_MAX) return say("tray.many", { most: FILES_MAX });
  const empty = files.find((one) => !one.bytes.size);
  return empty ? say("tray.empty", { name: empty.name }) : "";
}

interface Given {
  readonly client: Client;
  readonly files: readonly Chosen[];
  readonly wrong: string;
  /** Another content for one of them; null takes it out. */
  readonly onChange: (id: number, bytes: Blob | null, name?: string) => void;
}

export function Tray({ files, wrong, onChange }: Given) {
  return (
    <div class="tray">
      <ul aria-label={say("tray.title")}>
        {files.map((one) => (
          <Item key={one.id} file={one} onChange={onChange} />
        ))}
      </ul>
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
    </div>
  );
}

function Item({ file, onChange }: { file: Chosen; onChange: Given["onChange"] }) {
  const { id, name, original, bytes: sent } = file;
  const [url, setUrl] = useState("");
  const [state, setState] = useState<"" | "busy" | "cannot">("");
  useEffect(() => {
    if (!original.type.startsWith("image/")) return;
    const made = URL.createObjectURL(original);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [original]);
  const isSmaller = sent !== original;
  const isLarge = SHRINKABLE.includes(original.type) && original.size > (pictures() === "full" ? LARGE : LARGE_WEAK);
  const shrink = async () => {
    setState("busy");
    const smaller = await shrunk(original);
    if (smaller) onChange(id, smaller, named(name, smaller.type));
    setState(smaller ? "" : "cannot");
  };
  return (
    <li class="file">
      {url ? <img src={url} alt="" /> : <Icon name="file" />}
      <span class="grow">
        <bdi>{name}</bdi> <small class="quiet">{bytes(sent.size)}</small>
        {isLarge && !isSmaller && state === "" && (
          <button type="button" class="plain" onClick={() => void shrink()}>
            {say("tray.smaller")}
          </button>
        )}
        {state !== "" && !isSmaller && (
          <small class="quiet" role="status">
            {say(state === "busy" ? "tray.busy" : "tray.cannot")}
          </small>
        )}
        {isSmaller && (
          <small class="quiet" role="status">
            {say("tray.isSmaller", { size: bytes(original.size) })}{" "}
            <button type="button" class="plain" onClick={() => onChange(id, original, (original as File).name)}>
              {say("tray.whole")}
            </button>
          </small>
        )}
      </span>
      <button type="button" class="icon" aria-label={say("tray.remove", { name })} onClick={() => onChange(id, null)}>
        <Icon name="stop" />
      </button>
    </li>
  );
}

/** A picture as wide as others are shown it, upright; null where that is not smaller, or this browser cannot. */
async function shrunk(original: Blob): Promise<Blob | null> {
  try {
    const picture = await createImageBitmap(original, { imageOrientation: "from-image" });
    const scale = Math.min(1, WIDTH_MAX / picture.width);
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [Math.round(picture.width * scale), Math.round(picture.height * scale)];
    canvas.getContext("2d")!.drawImage(picture, 0, 0, canvas.width, canvas.height);
    picture.close();
    const made = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/webp", QUALITY));
    return made && made.size < original.size * 0.9 ? made : null;
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    return null;
  }
}

function named(name: string, mediaType: string): string {
  return `${name.replace(/\.[^.]{1,5}$/, "")}.${mediaType.split("/")[1]}`;
}
