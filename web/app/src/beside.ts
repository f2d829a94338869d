/**
 * What is beside a chat, which does without for a moment: places, notices, home, how it stands in full; and what all pages say, which come behind
 * it (`inOneScript`).
 */
import { openPart } from "./words";
import words from "words:beside/en";

openPart(words, {
  es: () => import("words:beside/es"),
  fr: () => import("words:beside/fr"),
  ar: () => import("words:beside/ar"),
  sw: () => import("words:beside/sw"),
});

export { Home } from "./pages/home";
export { Bell } from "./parts/bell";
export { Places } from "./parts/places";
export { SyncPanel } from "./parts/sync_panel";
export { TextOffer } from "./parts/text_offer";
