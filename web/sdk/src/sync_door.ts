/**
 * Frames without a socket: a message in the body of a request, and its answer (docs/protocol.md, "Without a socket").
 *
 *     round(frames) ─▶ POST /api/v1/sync: Sync · frames ─▶ Welcome · answers          the device's socket, if there is one, stays as it is
 *
 * Whoever imports this has brought the rest of the wire (`learn(MORE)`).
 *
 * Invariant: a token that took another one's place is on the disk before it is used.
 */
import { decodeFrame, encode, join, split } from "./codec";
import { AccountError, BadFrame, Unreachable } from "./errors";
import type { Credentials } from "./http_door";
import { Code, SCHEMA, type Frame, type Welcome } from "./protocol";

const ANSWER_BYTES = 4 * 1024;
const ANSWER_FRAMES_MAX = 1_000;
const ANSWER_MS = 30_000;
/** A renewal that is under way when it is over: what it brings is worth a moment, since the token before it is used up. */
const RENEWAL_LEFT_MS = 2_000;
const CLOCK_SLACK_MS = 5_000;

interface Answer {
  readonly status: number;
  readonly ok: boolean;
  readonly retryAfterS: number;
  readonly bytes: Uint8Array;
}

export class SyncDoor {
  private readonly url: string;

  /** `durable`: what was written is on the disk. `over`: it is cut. */
  constructor(
    url: string,
    private readonly fetcher: typeof fetch,
    private readonly credentials: Credentials,
    private readonly durable: () => Promise<void>,
    private readonly over: AbortSignal = new AbortController().signal,
  ) {
    this.url = url.replace(/\/+$/, "");
  }

  /** One request in an epoch (0: in whichever it is): the welcome, and the other answers. Rejected with `AccountError`, `Unreachable`,
   *  `BadFrame`, and whatever the disk says. */
  async round(epoch: number, frames: readonly Uint8Array[]): Promise<[Welcome, Frame[]]> {
    if (this.credentials.login.expires_at * 1000 - Date.now() < CLOCK_SLACK_MS) await this.renew();
    const sync = encode({ type: "Sync", epoch, clock_ms: Date.now(), schema: SCHEMA, bytes_max: ANSWER_BYTES });
    const body = join([sync, ...frames]);
    let answer = await this.post(body);
    if (answer.status === 401) {
      await this.renew();
      answer = await this.post(body);
    }
    if (!answer.ok) throw new AccountError(answer.status, "", "", "", answer.retryAfterS);
    const [welcome, ...answers] = split(answer.bytes, ANSWER_FRAMES_MAX).map((raw) => decodeFrame(raw) as Frame);
    if (welcome?.type !== "Welcome") throw new BadFrame(Code.BAD_FRAME, `${welcome?.type} where Welcome belongs`);
    return [welcome, answers];
  }

  private async post(body: Uint8Array): Promise<Answer> {
    const off = new AbortController();
    const end = () => off.abort();
    const timer = setTimeout(end, ANSWER_MS);
    this.over.addEventListener("abort", end);
    try {
      if (this.over.aborted) throw new Unreachable("it is over");
      const headers = { authorization: `Bearer ${this.credentials.login.access_token}`, "content-type": "application/msgpack" };
      const init: RequestInit = { method: "POST", headers, body: body as BodyInit, signal: off.signal, cache: "no-store", credentials: "omit" };
      const response = await this.fetcher(`${this.url}/api/v1/sync`, init);
      const { ok, status } = response;
      return { ok, status, retryAfterS: Number(response.headers.get("retry-after")) || 0, bytes: new Uint8Array(await response.arrayBuffer()) };
    } catch (error) {
      throw new Unreachable((error as Error).message);
    } finally {
      clearTimeout(timer);
      this.over.removeEventListener("abort", end);
    }
  }

  private async renew(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let end = () => undefined as void;
    const cut = new Promise<never>((_, reject) => {
      end = () => void (timer = setTimeout(() => reject(new Unreachable("it is over")), RENEWAL_LEFT_MS));
      this.over.addEventListener("abort", end);
      if (this.over.aborted) end();
    });
    try {
      await Promise.race([this.credentials.renew(), cut]);
      await this.durable();
    } finally {
      clearTimeout(timer);
      this.over.removeEventListener("abort", end);
    }
  }
}
