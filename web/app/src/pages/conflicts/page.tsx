/** Changes that two made of one thing without knowing of each other: all of them, or the one that the address names. */
import type { PageGiven } from "../../pages";
import { Conflicts } from "./list";
import { OneConflict } from "./one";

export default function ConflictsPage({ client, id }: PageGiven) {
  return id ? <OneConflict client={client} number={id} /> : <Conflicts client={client} />;
}
