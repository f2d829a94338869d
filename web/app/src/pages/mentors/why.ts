/** Why a mentor is shown, in the reader's words: a key and what fills it (docs/mentoring.md, "Why somebody is shown"). */
import { language } from "../../words";
import { count, say } from "./words";

const STYLES = ["why.style1", "why.style2", "why.style4", "why.style8", "why.style16", "why.style32", "why.style64", "why.style128"] as const;

function styles(sum: number): string {
  const names = STYLES.filter((_, bit) => sum & (1 << bit)).map((key) => say(key));
  return new Intl.ListFormat(language.value, { type: "conjunction" }).format(names);
}

/** Empty where the server has a reason that this app does not know yet. */
export function whyInWords(why: string): string {
  const colon = why.indexOf(":");
  const kind = colon < 0 ? why : why.slice(0, colon);
  const what = colon < 0 ? "" : why.slice(colon + 1);
  switch (kind) {
    case "subject":
      return say("why.subject", { what });
    case "subject-near":
      return say("why.subjectNear", { what });
    case "style":
      return say("why.style", { what: styles(Number(what)) });
    case "language":
      return say("why.language", { what: tongue(what) });
    case "hours":
      return count("why.hours", Number(what));
    case "near":
      return say("why.near");
    case "history":
      return count("why.history", Number(what));
    case "open":
      return say("why.open");
    default:
      return "";
  }
}

function tongue(tag: string): string {
  try {
    return new Intl.DisplayNames(language.value, { type: "language" }).of(tag) ?? tag;
  } catch (error) {
    // Not a tag that this browser takes: as it is written.
    if (!(error instanceof RangeError)) throw error;
    return tag;
  }
}
