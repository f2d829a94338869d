/**
 * Mentors: find one and see why they fit, the mentorships of one's own, and whether one mentors oneself.
 *
 *     #/mentors          find
 *     #/mentors/0/mine   proposals and mentorships
 *     #/mentors/0/offer  how one mentors
 */
import { Head } from "../../parts/head";
import type { PageGiven } from "../../pages";
import { toPage } from "../../place";
import { Find } from "./find";
import { Mine } from "./mine";
import { Offer } from "./offer";
import { say } from "./words";

export default function Mentors({ client, rest }: PageGiven) {
  const [at = "find"] = rest;
  return (
    <>
      <Head title={say("title")} />
      <nav class="mentor-parts" aria-label={say("parts")}>
        {(["find", "mine", "offer"] as const).map((one) => (
          <a key={one} href={one === "find" ? toPage("mentors") : toPage("mentors", 0, one)} aria-current={at === one ? "page" : undefined}>
            {say(`part.${one}`)}
          </a>
        ))}
      </nav>
      {at === "mine" ? <Mine client={client} /> : at === "offer" ? <Offer client={client} /> : <Find client={client} />}
    </>
  );
}
