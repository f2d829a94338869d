/** What this page says. */
import english from "../../../messages/review/en.json";
import { openBook } from "../../words";

export const { say, count } = openBook(english, {
  es: () => import("../../../messages/review/es.json"),
  fr: () => import("../../../messages/review/fr.json"),
  ar: () => import("../../../messages/review/ar.json"),
  sw: () => import("../../../messages/review/sw.json"),
});
