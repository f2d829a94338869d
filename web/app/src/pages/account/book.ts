/** The words of this page. */
import english from "../../../messages/account/en.json";
import { openBook } from "../../words";

export const book = openBook(english, {
  es: () => import("../../../messages/account/es.json"),
  fr: () => import("../../../messages/account/fr.json"),
  ar: () => import("../../../messages/account/ar.json"),
  sw: () => import("../../../messages/account/sw.json"),
});
