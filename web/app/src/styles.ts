/** Style that comes with what needs it: behind the door, and with the first lazy page. */
const here = new Map<string, Promise<void>>();

/** Fulfilled when it is there; where it cannot be had, asked for again the next time. */
export function bringStyle(href: string): Promise<void> {
  const known = here.get(href);
  if (known) return known;
  const coming = new Promise<void>((done, failed) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = href;
    link.onload = () => done();
    link.onerror = () => {
      here.delete(href);
      link.remove();
      failed(new TypeError("no network"));
    };
    document.head.append(link);
  });
  here.set(href, coming);
  return coming;
}
