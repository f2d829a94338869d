/** What this page says. */
import english from "../../../messages/search/en.json";
import { openBook } from "../../words";

export const { say, count } = openBook(english, {
  es: () => import("../../../messages/search/es.json"),
  fr: () => import("../../../messages/search/fr.json"),
  ar: () => import("../../../messages/search/ar.json"),
  sw: () => import("../../../messages/search/sw.json"),
});
