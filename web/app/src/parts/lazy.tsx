/** A page that comes when it is first opened, with its words and its style. Where it cannot be had, it says so and tries again. */
import { useEffect, useState } from "preact/hooks";
import { useLive } from "../live";
import { PAGES, type Page, type PageGiven, type PageName } from "../pages";
import { booksReady, language, say } from "../words";

declare const MORE_STYLE: string;

const here = new Map<PageName, Page>();
let styled: Promise<void> | undefined;

/** The style of the lazy pages, once. */
export function style(): Promise<void> {
  styled ??= new Promise((done, failed) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = MORE_STYLE;
    link.onload = () => done();
    link.onerror = () => {
      styled = undefined;
      link.remove();
      failed(new TypeError("no network"));
    };
    document.head.append(link);
  });
  return styled;
}

async function bring(name: PageName): Promise<Page> {
  const load = PAGES[name] as () => Promise<{ default: Page }>;
  const [{ default: page }] = await Promise.all([load(), style()]);
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
