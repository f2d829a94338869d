/** Who is here now, under a conversation's name: how many, and a few first names. Where the link is weak, nobody asks. */
import { useEffect, useMemo } from "preact/hooks";
import type { Client, SpaceView } from "../../../../sdk/src/api";
import { useLive } from "../../live";
import { pictures } from "../../look";
import { learnNames, people, strangers } from "../../session";
import { count } from "./words";

const NAMES_MAX = 3;
/** Between the name of the community and who is here; a conversation has no name of its own. */
const DOT = "· ";

export function Here({ client, space }: { client: Client; space: SpaceView }) {
  return pictures() === "full" ? <Present client={client} space={space} /> : <>{space.name}</>;
}

function Present({ client, space: { space, name } }: { client: Client; space: SpaceView }) {
  const live = useMemo(() => client.watch(space), [client, space]);
  useEffect(() => () => live.close(), [live]);
  const { online, users } = useLive(live);
  const known = useLive(people);
  const me = client.me.value?.user ?? 0;
  const strange = users.some((one) => one !== me && !known.has(one) && !strangers.has(one));
  useEffect(() => {
    if (strange) void learnNames(client, space, users);
  }, [strange, space]);
  const others = users.filter((one) => one !== me);
  const number = Math.max(others.length, online - (users.length > others.length ? 1 : 0));
  const names = others.flatMap((one) => known.get(one)?.display.split(" ")[0] ?? []).slice(0, NAMES_MAX);
  const said = count(names.length ? "here" : "hereOnly", number, names.length ? { who: names.join(", ") } : {});
  return (
    <>
      <bdi>{name}</bdi>{" "}
      {number > 0 && <bdi>{said.slice(name ? 0 : DOT.length)}</bdi>}
    </>
  );
}
