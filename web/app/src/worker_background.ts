/** What sends in the background, as a script that the service worker brings in when it is woken for it. */
import { sendUnsent } from "../../sdk/src/background";

const background = { sendUnsent };
export type Background = typeof background;
Object.assign(self, { background });
