/** A page that comes when it is first opened, with its words and its style. Where it cannot be had, it says so and tries again. */
import { useEffect, useState } from "preact/hooks";
import { useLive } from "../live";
import { PAGES, PLAIN, type Page, type PageGiven, type PageName } from "../pages";
import { bringStyle } from "../styles";
import { booksReady, language, say } from "../words";

const here = new Map<PageName, Page>();

/** The style of the lazy pages, once. */
export function style(): Promise<void> {
  return bringStyle(MORE_STYLE);
}

async function bring(name: PageName): Promise<Page> {
  const load = PAGES[name] as () => Promise<{ default: Page }>;
  const [{ default: page }] = await Promise.all([load(), PLAIN.includes(name) ? undefined : style()]);
  await booksReady();
  here.set(name, page);
  return page;
}

export function Lazy({ name, ...given }: { name: PageName } & PageGiven) {
  useLive(language);
  const [, again] = useState(0);
  const [missing, setMissing] = useState(false);
  const Known = here.get(name);
  useEffect(() => {
    if (Known || missing) return;
    let left = false;
    const shown = () => void (left || again((count) => count + 1));
    bring(name).then(shown, () => void (left || setMissing(true)));
    return () => void (left = true);
  }, [name, Known, missing]);
  useEffect(() => {
    const retry = () => setMissing(false);
    addEventListener("online", retry);
    return () => removeEventListener("online", retry);
  }, []);
  if (Known) return <Known {...given} />;
  if (!missing) return <p class="welcome quiet" role="status">{say("talk.loading")}</p>;
  return (
    <div class="welcome">
      <p class="quiet">{say("app.pageAway")}</p>
      <button onClick={() => setMissing(false)}>{say("app.again")}</button>
    </div>
  );
}
