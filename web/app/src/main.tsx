/** The app's beginning: look, words, the door, or what is behind it; then the SDK, and the service worker last, so that what is needed comes first. */
import { render } from "preact";
import { App, wantInside, wasKnown } from "./app";
import { applyLook, pictures } from "./look";
import { open, session, warm } from "./opening";
import { CHAT, preferred, speak } from "./words";

/** Whoever is at the door has gone in by then, or is in no hurry. */
const DOOR_MS = 20_000;
/** What was kept is drawn by then. */
const DRAWN_MS = 1_000;

const tongue = preferred();
if (wasKnown()) {
  warm();
  // Asked for by what says it they would come a round trip later.
  if (tongue !== "en") void CHAT[tongue]().catch(() => undefined);
}
applyLook();
const root = document.getElementById("app")!;
const spoken = speak(tongue).then(() => {
  root.replaceChildren();
  render(<App />, root);
});
// Whoever was here gets all at once. Of somebody who comes for the first time the door is to be there before anything else is fetched.
const opened = (wasKnown() ? Promise.resolve() : spoken).then(() => Promise.all([open(), wantInside()]));

/** Fulfilled when everything that somebody waits for is here. */
function settled(): Promise<void> {
  return new Promise((done) => {
    setTimeout(done, DOOR_MS);
    if (!(session.value instanceof Error)) session.value?.status.subscribe(({ state, behind }) => state === "online" && !behind && done());
  });
}

/** The app as something to be installed and to be opened without a network: every page of it is fetched for that. */
async function stay(): Promise<void> {
  await opened;
  const workers = window.isSecureContext ? navigator.serviceWorker : undefined;
  const sending = () => import("./sending");
  if (workers?.controller) setTimeout(() => void sending().catch(() => undefined), DRAWN_MS);
  await settled();
  document.head.append(Object.assign(document.createElement("link"), { rel: "manifest", href: "/manifest.webmanifest" }));
  // Without one the app works, with a network. One whose files a network took away is begun again when it is back, where it stopped.
  const register = () => void workers?.register(pictures() === "none" ? "/worker.js?text" : "/worker.js").then(sending).catch(() => undefined);
  register();
  addEventListener("online", register);
}
void stay();
