/** The app's beginning: look, words, the door, or what is behind it; then the SDK, and the service worker last, so that what is needed comes first. */
import { render } from "preact";
import { App, wantInside, wasKnown } from "./app";
import { applyLook, pictures } from "./look";
import { open } from "./opening";
import { preferred, speak } from "./words";

applyLook();
const root = document.getElementById("app")!;
const spoken = speak(preferred()).then(() => {
  root.replaceChildren();
  render(<App />, root);
});
// Whoever was here gets all at once. Of somebody who comes for the first time the door is to be there before anything else is fetched.
const opened = (wasKnown() ? Promise.resolve() : spoken).then(() => Promise.all([open(), wantInside()]));
if ("serviceWorker" in navigator && window.isSecureContext) {
  // Without one the app works, with a network.
  const register = () => navigator.serviceWorker.register(pictures() === "none" ? "/worker.js?text" : "/worker.js");
  void opened.then(register).then(() => import("./sending")).catch(() => undefined);
}
