/** The frame around every page: bar, places and page, of who is logged in. What is beside a chat comes when that stands (beside.ts). */
import { useEffect, useLayoutEffect } from "preact/hooks";
import type { Client } from "../../sdk/src/api";
import { useLive } from "./live";
import { beside, keeps, wantBeside } from "./opening";
import { PAGES, type PageName } from "./pages";
import { Channel } from "./pages/channel";
import { Icon } from "./parts/icon";
import { Lazy } from "./parts/lazy";
import { Mark } from "./parts/mark";
import { SyncState } from "./parts/sync_state";
import { HOME, place, toPage } from "./place";
import { CHAT, openPart, say } from "./words";
import chat from "words:chat/en";

openPart(chat, CHAT);

export function Inside({ client }: { client: Client }) {
  const { page, id, rest } = useLive(place);
  const kept = useLive(keeps);
  const more = useLive(beside);
  useEffect(() => {
    const want = () => void wantBeside().catch(() => undefined);
    want();
    addEventListener("online", want);
    return () => removeEventListener("online", want);
  }, []);
  // At once: a moment later somebody may already be writing.
  useLayoutEffect(() => {
    // Whoever reads by ear or key begins where the new page does.
    document.getElementById("main")?.focus({ preventScroll: true });
  }, [page, id]);
  return (
    <div class={`frame on-${page}`}>
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), document.getElementById("main")?.focus())}>
        {say("app.skip")}
      </a>
      <header class="bar">
        <a class="brand" href={HOME} aria-label={say("app.home")}>
          <Mark />
          <span class="wide">EduConnect</span>
        </a>
        <SyncState client={client} />
        {more ? (
          <more.Bell client={client} />
        ) : (
          <a class="icon bell" href={toPage("notices")} aria-label={say("notices.title")}>
            <Icon name="bell" />
          </a>
        )}
        <a class="icon" href="#/settings" aria-label={say("settings.title")} title={say("settings.title")}>
          <Icon name="settings" />
        </a>
      </header>
      {kept ? more && <more.TextOffer /> : <p class="warning" role="alert">{say("app.keepsNothing")}</p>}
      <nav class="side" aria-label={say("places.title")}>
        {more && <more.Places client={client} />}
      </nav>
      <main id="main" class="page" tabIndex={-1}>
        {page === "home" && more && <more.Home client={client} />}
        {page === "channel" && <Channel key={id} client={client} stream={id} />}
        {Object.hasOwn(PAGES, page) && <Lazy key={`${page}/${id}`} name={page as PageName} client={client} id={id} rest={rest} />}
      </main>
    </div>
  );
}
