/** What is said of files, people and reports in a conversation. */
import english from "../../../messages/talk/en.json";
import { language, openBook } from "../../words";

export const { say, count } = openBook(english, {
  es: () => import("../../../messages/talk/es.json"),
  fr: () => import("../../../messages/talk/fr.json"),
  ar: () => import("../../../messages/talk/ar.json"),
  sw: () => import("../../../messages/talk/sw.json"),
});

/** So many bytes, as people say it. */
export function bytes(size: number): string {
  const [unit, by] = size < 1000 ? (["byte", 1] as const) : size < 1_000_000 ? (["kilobyte", 1000] as const) : (["megabyte", 1_000_000] as const);
  return new Intl.NumberFormat(language.value, { style: "unit", unit, unitDisplay: by > 1 ? "short" : "long", maximumFractionDigits: by > 1 && size / by < 10 ? 1 : 0 }).format(size / by);
}

const KINDS = { image: "kind.picture", audio: "kind.audio", video: "kind.video", text: "kind.text" } as const;

/** What a file is, as people say it. */
export function kind(mediaType: string): string {
  if (mediaType === "application/pdf") return "PDF";
  return say(KINDS[mediaType.split("/")[0] as keyof typeof KINDS] ?? "kind.file");
}
