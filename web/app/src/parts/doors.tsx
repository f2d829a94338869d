/** Links to the lazy pages. */
import { DOORS, type Door } from "../doors";
import { useLive } from "../live";
import { place, toPage } from "../place";
import { say } from "../words";
import "../keys";
import { Icon } from "./icon";

/** `id`: the community that the pages are of; 0: they are one's own. */
export function Doors({ where, id = 0 }: { where: Door["where"]; id?: number }) {
  const { page, id: at } = useLive(place);
  const doors = DOORS.filter((one) => one.where === where);
  if (!doors.length) return null;
  return (
    <ul class="doors">
      {doors.map((one) => (
        <li key={one.page}>
          <a class="way" href={toPage(one.page, id)} aria-current={page === one.page && at === id ? "page" : undefined}>
            <Icon name={one.icon} />
            <span class="name">{say(one.words)}</span>
          </a>
        </li>
      ))}
    </ul>
  );
}
