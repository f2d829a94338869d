/** What is beside a chat, which does without for a moment: places, notices, home, how it stands in full; and what all pages say. They come behind it (`inOneScript`). */
import { stand } from "./opening";
import { Home } from "./pages/home";
import { Bell } from "./parts/bell";
import { Places } from "./parts/places";
import { SyncPanel } from "./parts/sync_panel";
import { TextOffer } from "./parts/text_offer";
import { openPart } from "./words";
import words from "words:beside/en";

openPart(words, {
  es: () => import("words:beside/es"),
  fr: () => import("words:beside/fr"),
  ar: () => import("words:beside/ar"),
  sw: () => import("words:beside/sw"),
});

const given = { Bell, Home, Places, SyncPanel, TextOffer };
export type Beside = typeof given;

stand(given);
