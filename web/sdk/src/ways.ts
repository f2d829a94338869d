/**
 * Chooses the way by itself: the socket, and HTTP while sockets are blocked. What speaks HTTP is loaded when it is needed.
 *
 *     socket ── two in a row brought nothing ──▶ HTTP (http_link.ts) ── a socket opens beside it ──▶ socket
 *
 * Invariant: whoever has working sockets never loads the other way.
 */
import type { Link } from "./socket";

export const FAILURES_MAX = 2;
const RETRY_MS = 60_000;

export class Ways {
  /** Sockets in a row that brought nothing. */
  failures = 0;
  /** After which a socket is tried beside HTTP. */
  retryMs = RETRY_MS;
  private http: typeof import("./http_link") | undefined;
  /** Fulfilled when the other way is here, or cannot be had now; undefined: it was never needed. */
  coming: Promise<void> | undefined;

  constructor(
    private readonly url: string,
    private readonly socket: (url: string) => Link,
    private readonly fetcher: typeof fetch,
  ) {}

  /** As long as the other way has not come, another socket is tried. */
  open(): Link {
    const { failures, fetcher, http, socket, url } = this;
    return http && failures >= FAILURES_MAX ? http.overHttp(this, url, socket, fetcher) : this.overSocket();
  }

  private overSocket(): Link {
    const link = this.socket(this.url);
    let messages = 0;
    const { addEventListener } = link as Partial<WebSocket>;
    addEventListener?.call(link, "message", () => {
      if (messages++) return;
      this.failures = 0;
      this.retryMs = RETRY_MS;
    });
    let isOver = false;
    const over = () => {
      if (!isOver && !messages && ++this.failures >= FAILURES_MAX) this.bring();
      isOver = true;
    };
    addEventListener?.call(link, "close", over);
    addEventListener?.call(link, "error", over);
    return link;
  }

  private bring(): void {
    if (this.http) return;
    const here = (http: typeof import("./http_link")) => void (this.http = http);
    // Where it cannot be had, the network is gone: the next socket that fails asks again.
    this.coming = import("./http_link").then(here, () => undefined);
  }
}
