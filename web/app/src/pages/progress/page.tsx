/**
 * How one comes along in a community: what comes back today, what one is sure of, on which days one was here, what for; and for mentors how
 * those come along whom they teach. Nobody is compared with anybody.
 *
 *     #/progress/<community>
 */
import type { Client, SpaceView } from "../../../../sdk/src/api";
import { Role } from "../../../../sdk/src/protocol";
import { useLive } from "../../live";
import type { PageGiven } from "../../pages";
import { Head } from "../../parts/head";
import { toPage } from "../../place";
import { KeptHere } from "../lessons/kept";
import { useLearning, useSpace } from "../lessons/learning";
import { say } from "../lessons/words";
import { Missing } from "../../parts/missing";
import { Coming } from "./coming";
import { Days } from "./days";
import { Goals } from "./goals";
import { Insights } from "./insights";
import { Mastery } from "./mastery";
import { Teaching } from "./teaching";

export default function ProgressPage({ client, id }: PageGiven) {
  const space = useSpace(client, id);
  return space ? <Inside client={client} space={space} /> : <Missing />;
}

function Inside({ client, space }: { client: Client; space: SpaceView }) {
  const learning = useLearning(client, space.space);
  const study = useLive(learning);
  const teaches = (space.role & (Role.OWNER | Role.MODERATOR | Role.MENTOR)) > 0;
  return (
    <>
      <Head title={say("progress.title")} under={space.name} back={toPage("lessons", space.space)} />
      <KeptHere client={client} learning={learning} />
      {teaches && <Teaching client={client} study={study} space={space.space} />}
      {learning.learns && (
        <>
          <Coming learning={learning} study={study} space={space.space} />
          <Mastery study={study} space={space.space} />
          <Days study={study} />
          <Insights study={study} space={space.space} />
        </>
      )}
      <Goals client={client} learning={learning} study={study} />
    </>
  );
}
