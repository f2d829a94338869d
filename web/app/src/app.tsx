/** The frame around every page: who is logged in sees bar, places and page, everybody else the door. */
import { useEffect } from "preact/hooks";
import type { Client, Me } from "../../sdk/src/api";
import { Cell, useLive } from "./live";
import { PAGES, type PageName } from "./pages";
import { Channel } from "./pages/channel";
import { Door } from "./pages/door";
import { Home } from "./pages/home";
import { NewCommunity } from "./pages/new";
import { Settings } from "./pages/settings";
import { SpacePage } from "./pages/space";
import { Bell } from "./parts/bell";
import { Icon, Mark } from "./parts/icon";
import { Lazy } from "./parts/lazy";
import { Places } from "./parts/places";
import { SyncState } from "./parts/sync_state";
import { TextOffer } from "./parts/text_offer";
import { HOME, place } from "./place";
import { keeps, session } from "./session";
import { language, say } from "./words";

const nobody = new Cell<Me | null>(null);

export function App() {
  useLive(language);
  const client = useLive(session);
  if (client instanceof Error) return <Failed error={client} />;
  return <Known client={client} />;
}

function Failed({ error }: { error: Error }) {
  return (
    <main class="door">
      <h1>{say("app.failed")}</h1>
      <p>{say("app.failedWhy")}</p>
      <p class="quiet">{error.message}</p>
      <button class="main" onClick={() => location.reload()}>
        {say("app.again")}
      </button>
    </main>
  );
}

/** One door before the client comes and after, so that what was typed meanwhile is still there. */
function Known({ client }: { client: Client | null }) {
  const { page, id, rest } = useLive(place);
  const me = useLive(client?.me ?? nobody);
  if (client && me) return <Inside client={client} />;
  if (!client || page !== "link") return <Door />;
  return (
    <main class="door">
      <Lazy name="link" client={client} id={id} rest={rest} />
    </main>
  );
}

function Inside({ client }: { client: Client }) {
  const { page, id, rest } = useLive(place);
  const kept = useLive(keeps);
  useEffect(() => {
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
        {page === "space" && <SpacePage key={id} client={client} id={id} />}
        {page === "new" && <NewCommunity client={client} />}
        {page === "settings" && <Settings client={client} />}
        {Object.hasOwn(PAGES, page) && <Lazy key={`${page}/${id}`} name={page as PageName} client={client} id={id} rest={rest} />}
      </main>
    </div>
  );
}
