/** What was written without a network leaves when there is one, though the page was closed: where the browser wakes a service worker for it. */
import { sendInBackground } from "../../sdk/src/background_wish";
import { keeps, session } from "./opening";

const client = session.value;
// What lives in this page alone nobody else could send.
if (client && !(client instanceof Error) && keeps.value) {
  void navigator.serviceWorker.ready.then((registration) => sendInBackground(client, registration));
}
