/**
 * Who is logged in sees what is behind the door, everybody else the door.
 *
 *     this script: the door ─▶ the SDK and the frame with chat, right behind ─▶ a page, when it is opened (opening.ts)
 *
 * Where somebody was logged in here, the frame is asked for at once, and no door is shown before it is known that nobody is.
 */
import type { ComponentType } from "preact";
import { useEffect } from "preact/hooks";
import type { Client, Me, Status } from "../../sdk/src/api";
import { keep, recall } from "./kept";
import { Cell, useLive } from "./live";
import { session, wantBeside } from "./opening";
import { Door } from "./pages/door";
import { Lazy } from "./parts/lazy";
import { place } from "./place";
import { bringStyle } from "./styles";
import { booksReady, language, say } from "./words";

const nobody = new Cell<Me | null>(null);
const unknown = new Cell<Pick<Status, "state">>({ state: "connecting" });
type Frame = ComponentType<{ readonly client: Client }>;
/** What is behind the door; false: it could not be had. */
const frame = new Cell<Frame | false | null>(null);
let coming: Promise<void> | undefined;

/** Whether somebody was logged in here when this browser last looked. */
export const wasKnown = () => recall("known") !== "";

async function bring(): Promise<void> {
  try {
    // A chat does without what is beside it for a moment; every other page is nothing without.
    const besides = place.value.page === "channel" ? undefined : wantBeside();
    const [{ Inside }] = await Promise.all([import("./behind"), bringStyle(INSIDE_STYLE), besides]);
    await booksReady();
    frame.set(Inside);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    coming = undefined;
    frame.set(false);
  }
}

/** Fetches what is behind the door, unless that is here or on its way. */
export function wantInside(): Promise<void> {
  if (frame.value === false) frame.set(null);
  return (coming ??= bring());
}
addEventListener("online", () => frame.value === false && void wantInside());

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
  const { state } = useLive(client?.status ?? unknown);
  useEffect(() => {
    if (me) void wantInside();
    if (me || state === "signed-out") keep("known", me ? "yes" : "");
  }, [me, state]);
  if (client && me) return <Behind client={client} />;
  if (state !== "signed-out" && wasKnown()) return <p class="opening">EduConnect</p>;
  if (!client || page !== "link") return <Door />;
  return (
    <main class="door">
      <Lazy name="link" client={client} id={id} rest={rest} />
    </main>
  );
}

function Behind({ client }: { client: Client }) {
  const Inside = useLive(frame);
  if (Inside) return <Inside client={client} />;
  if (Inside === null) return <p class="opening">EduConnect</p>;
  return (
    <main class="door">
      <p class="quiet">{say("app.pageAway")}</p>
      <button class="main" onClick={() => void wantInside()}>
        {say("app.again")}
      </button>
    </main>
  );
}
