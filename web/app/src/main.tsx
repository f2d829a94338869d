/** The app's beginning: look, words, the door, or what is behind it; then the SDK, and the service worker last, so that what is needed comes first. */
import { render } from "preact";
import { App, wantInside, wasKnown } from "./app";
import { applyLook, pictures } from "./look";
import { open, session } from "./opening";
import { preferred, speak } from "./words";

/** Whoever is at the door has gone in by then, or is in no hurry. */
const DOOR_MS = 20_000;

applyLook();
const root = document.getElementById("app")!;
const spoken = speak(preferred()).then(() => {
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
  if (workers?.controller) void sending().catch(() => undefined);
  await settled();
  document.head.append(Object.assign(document.createElement("link"), { rel: "manifest", href: "/manifest.webmanifest" }));
  // Without one the app works, with a network.
  await workers?.register(pictures() === "none" ? "/worker.js?text" : "/worker.js").then(sending).catch(() => undefined);
}
void stay();
