/** Asks once, where the link is weak, whether words alone will do. Nobody is put into that who did not say so. */
import { useLive } from "../live";
import { chooseText, textOffered } from "../look";
import { say } from "../words";

export function TextOffer() {
  if (!useLive(textOffered)) return null;
  return (
    <p class="warning offer" role="status">
      <span>{say("text.offer")}</span>
      <button onClick={() => chooseText(true)}>{say("settings.textFirst")}</button>
      <button class="plain" onClick={() => chooseText(false)}>{say("text.keep")}</button>
    </p>
  );
}
