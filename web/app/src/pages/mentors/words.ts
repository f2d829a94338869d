/** What this page says. */
import english from "../../../messages/mentors/en.json";
import { openBook } from "../../words";

export const { say, count } = openBook(english, {
  es: () => import("../../../messages/mentors/es.json"),
  fr: () => import("../../../messages/mentors/fr.json"),
  ar: () => import("../../../messages/mentors/ar.json"),
  sw: () => import("../../../messages/mentors/sw.json"),
});
