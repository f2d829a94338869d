/** The frame around every page: bar, places and page, of who is logged in. */
import { useLayoutEffect } from "preact/hooks";
import type { Client } from "../../sdk/src/api";
import { useLive } from "./live";
import { keeps } from "./opening";
import { PAGES, type PageName } from "./pages";
import { Channel } from "./pages/channel";
import { Home } from "./pages/home";
import { Bell } from "./parts/bell";
import { Icon, Mark } from "./parts/icon";
import { Lazy } from "./parts/lazy";
import { Places } from "./parts/places";
import { SyncState } from "./parts/sync_state";
import { TextOffer } from "./parts/text_offer";
import { HOME, place } from "./place";
import { openShell, say } from "./words";
import shell from "words:shell/en";

openShell(shell, {
  es: () => import("words:shell/es"),
  fr: () => import("words:shell/fr"),
  ar: () => import("words:shell/ar"),
  sw: () => import("words:shell/sw"),
});

export function Inside({ client }: { client: Client }) {
  const { page, id, rest } = useLive(place);
  const kept = useLive(keeps);
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
        <Bell client={client} />
        <a class="icon" href="#/settings" aria-label={say("settings.title")} title={say("settings.title")}>
          <Icon name="settings" />
        </a>
      </header>
      {kept ? <TextOffer /> : <p class="warning" role="alert">{say("app.keepsNothing")}</p>}
      <nav class="side" aria-label={say("places.title")}>
        <Places client={client} />
      </nav>
      <main id="main" class="page" tabIndex={-1}>
        {page === "home" && <Home client={client} />}
        {page === "channel" && <Channel key={id} client={client} stream={id} />}
        {Object.hasOwn(PAGES, page) && <Lazy key={`${page}/${id}`} name={page as PageName} client={client} id={id} rest={rest} />}
      </main>
    </div>
  );
}
