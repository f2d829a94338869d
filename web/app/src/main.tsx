/** The app's beginning: look, words, the door, or what is behind it; then the SDK, and the service worker last, so that what is needed comes first. */
import { render } from "preact";
import { App, wantInside, wasKnown } from "./app";
import { applyLook, pictures } from "./look";
import { open } from "./opening";
import { preferred, speak } from "./words";

/** All that a chat needs is fetched at once: by themselves the scripts would ask for one another, a round trip each. */
function fetchAhead(): void {
  const named = document.querySelector<HTMLScriptElement>("script[data-then]")?.dataset.then ?? "";
  for (const href of named.split(" ")) document.head.append(Object.assign(document.createElement("link"), { rel: "modulepreload", href }));
}

applyLook();
const root = document.getElementById("app")!;
const spoken = speak(preferred()).then(() => {
  root.replaceChildren();
  render(<App />, root);
});
// Whoever was here gets all at once. Of somebody who comes for the first time the door is to be there before anything else is fetched.
const known = wasKnown();
const opened = (known ? Promise.resolve() : spoken).then(() => {
  fetchAhead();
  return Promise.all([open(), known && wantInside()]).then(wantInside);
});
if ("serviceWorker" in navigator && window.isSecureContext) {
  // Without one the app works, with a network.
  const register = () => navigator.serviceWorker.register(pictures() === "none" ? "/worker.js?text" : "/worker.js");
  void opened.then(register).then(() => import("./sending")).catch(() => undefined);
}
