/** In the place of what the address names. Either it is coming, or it is none of one's own: both look the same from here. */
import { HOME } from "../place";
import { say } from "../words";

export function Missing() {
  return (
    <div class="welcome">
      <p class="quiet">{say("space.missing")}</p>
      <a class="button" href={HOME}>{say("app.home")}</a>
    </div>
  );
}
