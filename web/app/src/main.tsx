/** The app's beginning: words, look, service worker, session, and the page that the address names. */
import { render } from "preact";
import { App } from "./app";
import { applyLook, pictures } from "./look";
import { open } from "./session";
import { preferred, speak } from "./words";

applyLook();
void open();
const root = document.getElementById("app")!;
void speak(preferred()).then(() => {
  root.replaceChildren();
  render(<App />, root);
});
if ("serviceWorker" in navigator && window.isSecureContext) {
  // Afterwards, so that what the page needs comes first. Without one the app works, with a network.
  addEventListener("load", () => void navigator.serviceWorker.register(pictures() === "none" ? "/worker.js?text" : "/worker.js").catch(() => undefined));
}
