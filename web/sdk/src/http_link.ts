/**
 * A link where sockets cannot go: the same messages by requests, of which one always waits for what comes. ways.ts chooses between the two.
 *
 *     send ───▶ POST /api/v1/link            the first message opens; the answer brings name and key, and what there is to say
 *               POST /api/v1/link/{name}?n=2 the others, numbered: one that was lost on the way is sent again and not taken twice
 *     receive ◀ GET  /api/v1/link/{name}     answered when there is something; `after` says what came
 *
 *     socket ── two sockets in a row brought nothing, and HTTP answers ──▶ HTTP ── a socket opens beside it ──▶ socket
 *
 * Bodies are parts: number (varint), length (varint), message; number 0 is a word about the link itself. As client/http_link.py, client/ways.py
 * and protocol/link_body.py.
 *
 * Invariant: messages come out in the order of their numbers, each once; what is tried beside a link that works never touches it before it has
 * worked itself.
 */
import type { Link } from "./socket";
import { FAILURES_MAX, type Ways } from "./ways";

// In one script with the session, not beside it: build.mjs says why.
export { Core } from "./core";

const RETRY_MAX_MS = 960_000;
const ASK_MS = 25_000;
const POLL_MS = 40_000;
const GIVE_UP_MS = 20_000;
const PAUSE_MS = 500;
const BUSY: readonly number[] = [429, 502, 503, 504];
const OVERLOAD = 4013;

/** The link is over, with a code as a socket's. */
class Over extends Error {
  constructor(
    readonly code: number,
    reason: string,
  ) {
    super(reason);
  }
}

/** One message, or with number 0 one word about the link. */
interface Part {
  readonly number: number;
  readonly payload: Uint8Array;
}

/** The parts of a body. Throws `Over` for what is none. */
export function parts(body: Uint8Array): Part[] {
  const found: Part[] = [];
  let at = 0;
  const varint = () => {
    for (let value = 0, scale = 1; at < body.length && scale < 2 ** 53; scale *= 128) {
      const byte = body[at++]!;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    throw new Over(0, "the gateway does not keep to the protocol");
  };
  while (at < body.length) {
    const number = varint();
    const length = varint();
    if (at + length > body.length) throw new Over(0, "an answer was cut");
    found.push({ number, payload: body.slice(at, (at += length)) });
  }
  return found;
}

export class HttpLink implements Link {
  binaryType = "arraybuffer";
  bufferedAmount = 0;
  onopen: ((event: any) => void) | null = null;
  onmessage: ((event: any) => void) | null = null;
  onclose: ((event: any) => void) | null = null;
  onerror: ((event: any) => void) | null = null;
  private readonly off = new AbortController();
  private readonly waiting: Uint8Array[] = [];
  private isSending = false;
  private path = "";
  private key = "";
  private sent = 0;
  private heard = 0;

  constructor(
    private readonly url: string,
    private readonly fetcher: typeof fetch,
  ) {
    void this.begin();
  }

  send(message: Uint8Array): void {
    this.waiting.push(message);
    this.bufferedAmount += message.length;
    if (!this.isSending) void this.sendAll();
  }

  close(): void {
    if (this.off.signal.aborted) return;
    this.off.abort();
    if (this.path) void this.fetcher(this.url + this.path, { method: "DELETE", headers: this.headers(), keepalive: true }).catch(() => undefined);
  }

  /** Whether it is one of ours that answers, and not the page of whoever is in between. */
  private async begin(): Promise<void> {
    try {
      const answer: any = await (await this.ask("GET", "/health", ASK_MS)).json();
      if (answer?.status !== "alive") throw new Over(0, "no server answers over HTTP");
      if (!this.off.signal.aborted) this.onopen?.({});
    } catch (error) {
      this.end(error);
    }
  }

  private headers(): Record<string, string> {
    return this.key ? { authorization: `Link ${this.key}` } : {};
  }

  private async ask(method: string, target: string, ms: number, body?: Uint8Array): Promise<Response> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), ms);
    const stop = () => late.abort();
    this.off.signal.addEventListener("abort", stop);
    try {
      const headers = { ...this.headers(), ...(body ? { "content-type": "application/msgpack" } : {}) };
      const init: RequestInit = { method, headers, signal: late.signal, cache: "no-store", credentials: "omit" };
      return await this.fetcher(this.url + target, body ? { ...init, body: body as BodyInit } : init);
    } finally {
      clearTimeout(timer);
      this.off.signal.removeEventListener("abort", stop);
    }
  }

  /** Until it was taken, or the link is over: what failed is tried again, for a while. */
  private async insist(act: () => Promise<Response>): Promise<Response> {
    for (let since = 0; ; ) {
      try {
        const answer = await act();
        if (answer.ok) return answer;
        if (!BUSY.includes(answer.status)) throw new Over(0, `the link was refused with HTTP status ${answer.status}`);
      } catch (error) {
        if (error instanceof Over || this.off.signal.aborted) throw error;
      }
      since ||= Date.now();
      if (Date.now() - since >= GIVE_UP_MS) throw new Over(0, "nobody answers");
      await new Promise((go) => setTimeout(go, PAUSE_MS));
    }
  }

  private async sendAll(): Promise<void> {
    this.isSending = true;
    try {
      for (let message = this.waiting[0]; message && !this.off.signal.aborted; message = this.waiting[0]) {
        const body = message;
        if (this.path) await this.insist(() => this.ask("POST", `${this.path}?n=${this.sent + 1}&after=${this.heard}`, ASK_MS, body));
        else await this.open(body);
        this.sent++;
        this.waiting.shift();
        this.bufferedAmount -= body.length;
      }
    } catch (error) {
      this.end(error);
    }
    this.isSending = false;
  }

  private async open(message: Uint8Array): Promise<void> {
    const answer = await this.ask("POST", "/api/v1/link", ASK_MS, message);
    if (!answer.ok) throw new Over(BUSY.includes(answer.status) ? OVERLOAD : 0, `the link was refused with HTTP status ${answer.status}`);
    const body = new Uint8Array(await answer.arrayBuffer());
    const [first] = parts(body);
    const [name, key] = new TextDecoder().decode(first?.payload.subarray(1)).split(" ");
    if (first?.number !== 0 || first.payload[0] !== 0x6f || !name || !key) throw new Over(0, "the gateway opened no link");
    this.path = `/api/v1/link/${name}`;
    this.key = key;
    void this.poll(body);
  }

  private async poll(first: Uint8Array): Promise<void> {
    try {
      for (let body = first; ; ) {
        this.take(body);
        const answer = await this.insist(() => this.ask("GET", `${this.path}?after=${this.heard}`, POLL_MS));
        body = new Uint8Array(await answer.arrayBuffer().catch(() => new ArrayBuffer(0)));
      }
    } catch (error) {
      this.end(error);
    }
  }

  private take(body: Uint8Array): void {
    for (const { number, payload } of parts(body)) {
      if (this.off.signal.aborted) throw new Over(0, "closed");
      if (number === 0 && payload[0] === 0x63) throw new Over((payload[1]! << 8) | payload[2]!, new TextDecoder().decode(payload.subarray(3)));
      // What comes again was given before, in an answer that was lost.
      if (number === 0 || number <= this.heard) continue;
      if (number !== this.heard + 1) throw new Over(0, "a message is missing in what the gateway sent");
      this.heard = number;
      this.onmessage?.({ data: payload.buffer });
    }
  }

  private end(error: unknown): void {
    if (this.off.signal.aborted) return;
    this.off.abort();
    this.onclose?.({ code: error instanceof Over ? error.code : 0, reason: (error as Error).message });
  }
}

/** A link over HTTP, for a device whose sockets are blocked; what becomes of sockets beside it is noted in `ways`. */
export function overHttp(ways: Ways, url: string, socket: (url: string) => Link, fetcher: typeof fetch): Link {
  const link = new HttpLink(url, fetcher);
  let messages = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const again = () => (timer = setTimeout(() => trySocket(ways, socket(url), link, again), ways.retryMs));
  again();
  // Whoever uses the link sets its handlers: these are beside them.
  const close = link.close.bind(link);
  link.close = () => {
    clearTimeout(timer);
    // Not the way is blocked: nobody is there. Sockets are asked first when somebody is again.
    if (!messages) ways.failures = 0;
    close();
  };
  let heard: ((event: any) => void) | null = null;
  Object.defineProperty(link, "onmessage", {
    get: () => (event: unknown) => {
      messages++;
      heard?.(event);
    },
    set: (handler: ((event: any) => void) | null) => (heard = handler),
  });
  return link;
}

/** Beside a link that works: one that opens takes its place at the next connecting. */
function trySocket(ways: Ways, tried: Link, link: Link, again: () => void): void {
  let isOver = false;
  const end = (opened: boolean) => {
    if (isOver) return;
    isOver = true;
    tried.close();
    if (!opened) return again();
    // One socket that brings nothing is enough to come back here.
    ways.failures = FAILURES_MAX - 1;
    ways.retryMs = Math.min(RETRY_MAX_MS, ways.retryMs * 2);
    const { onclose } = link;
    link.close();
    onclose?.({ code: 0, reason: "sockets work again" });
  };
  tried.onopen = () => end(true);
  tried.onclose = tried.onerror = () => end(false);
}
