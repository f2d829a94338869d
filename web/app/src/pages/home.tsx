/** What is beside the places on a wide screen as long as none of them is open. A phone shows the places alone. */
import type { Client } from "../../../sdk/src/api";
import { useLive } from "../live";
import { talks } from "../parts/places";
import { say } from "../words";

export function Home({ client }: { client: Client }) {
  const me = useLive(client.me);
  const { spaces } = useLive(client.places);
  const any = spaces.some((space) => talks(space).length > 0);
  return (
    <div class="welcome">
      <h1>{say("home.hello", { name: me?.displayName || me?.name || "" })}</h1>
      <p class="quiet">{any ? say("home.choose") : say("home.begin")}</p>
      {!any && (
        <a class="button main" href="#/new">
          {say("places.new")}
        </a>
      )}
    </div>
  );
}
