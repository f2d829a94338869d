/** The app's own sign. */
import { useLive } from "../live";
import { textFirst } from "../look";

/** The page has it in its head, so it is no request. */
const MARK = document.querySelector<HTMLLinkElement>("link[rel=icon]")!.href;

export function Mark() {
  return useLive(textFirst) ? null : <img src={MARK} alt="" width="28" height="28" />;
}
