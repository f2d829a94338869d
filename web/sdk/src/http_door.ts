/**
 * An account over HTTP: questions, and the tokens of who is logged in.
 *
 *     Account(url) ── register, login, prove (door.ts) ──▶ Login ──▶ Credentials ──▶ a session
 *                  ── renew (before expiry, or when a socket ended for its token)
 *
 * A refresh token is good once: each renewal brings the next one. As client/account.py.
 *
 * Invariant: one renewal is under way per credentials at a time, and whoever waited gets its result.
 */
import { AccountError, Unreachable } from "./errors";
import { Code } from "./protocol";

const TIMEOUT_MS = 20_000;

/** What registration, login and renewal answer. Times are Unix seconds. */
export interface Login {
  readonly access_token: string;
  readonly expires_at: number;
  readonly refresh_token: string;
  readonly user: number;
  readonly device: number;
  readonly inbox: number;
  readonly name: string;
  readonly display_name: string;
}

const NO_LOGIN: Login = { access_token: "", expires_at: 0, refresh_token: "", user: 0, device: 0, inbox: 0, name: "", display_name: "" };

export class Account {
  private readonly url: string;

  constructor(
    url: string,
    private readonly fetcher: typeof fetch,
  ) {
    this.url = url.replace(/\/+$/, "");
  }

  /** One question to a route under `/api/v1/`; its answer's JSON (bytes: an `ArrayBuffer`), null where there is none. Rejected with `AccountError` or
   *  `Unreachable`. */
  async ask(method: string, route: string, body?: unknown, accessToken = ""): Promise<unknown> {
    const headers: Record<string, string> = {};
    if (body !== undefined) headers["content-type"] = "application/json";
    if (accessToken) headers["authorization"] = `Bearer ${accessToken}`;
    const off = new AbortController();
    const timer = setTimeout(() => off.abort(), TIMEOUT_MS);
    try {
      const init = { method, headers, signal: off.signal, cache: "no-store" as const, credentials: "omit" as const };
      const response = await this.fetcher(`${this.url}/api/v1/${route}`, body === undefined ? init : { ...init, body: JSON.stringify(body) });
      const isBytes = response.headers.get("content-type") === "application/octet-stream";
      const answer: any = await (isBytes ? response.arrayBuffer() : response.json().catch(() => null));
      if (response.ok) return answer;
      const wait = Number(response.headers.get("retry-after")) || 0;
      throw new AccountError(response.status, String(answer?.code ?? ""), String(answer?.title ?? ""), String(answer?.detail ?? ""), wait);
    } catch (error) {
      if (error instanceof AccountError) throw error;
      throw new Unreachable(`${this.url}: ${(error as Error).message}`);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** A login as any of its routes answers it. Throws `AccountError`. */
export function readLogin(answer: unknown): Login {
  const login = { ...NO_LOGIN, ...(answer as Partial<Login> | null) };
  if (!login.access_token) throw new AccountError(200, "", "The server's answer cannot be read", "it has no access token", 0);
  return login;
}

/** A logged-in device's tokens, renewed in place; `kept` is told of newer ones. */
export class Credentials {
  private renewing: Promise<void> | undefined;

  constructor(
    private readonly account: Account,
    public login: Login,
    private readonly kept: (login: Login) => void,
  ) {}

  /** Puts newer tokens in place. Rejected with `AccountError` (401: log in again) or `Unreachable`. */
  renew(): Promise<void> {
    return (this.renewing ??= this.exchange("auth/refresh", { refresh_token: this.login.refresh_token }).finally(() => (this.renewing = undefined)));
  }

  /** Goes on as another device of the same account: this one's store was copied. */
  forkDevice(deviceName: string): Promise<void> {
    return this.exchange("devices", { name: deviceName }, this.login.access_token);
  }

  private async exchange(route: string, body: unknown, accessToken = ""): Promise<void> {
    const newer = readLogin(await this.account.ask("POST", route, body, accessToken));
    // What the newer one does not say stays.
    const said = Object.fromEntries(Object.entries(newer).filter(([, value]) => value));
    this.login = { ...this.login, ...said };
    this.kept(this.login);
  }

  /** One question as oneself, with a token that is good: renewed first where it is not any more. */
  async ask(method: string, route: string, body?: unknown): Promise<unknown> {
    try {
      return await this.account.ask(method, route, body, this.login.access_token);
    } catch (error) {
      // A wrong code of a second factor says nothing of the token, and asked again it would count as two.
      if (!(error instanceof AccountError) || error.status !== 401 || error.code === String(Code.MFA)) throw error;
    }
    await this.renew();
    return this.account.ask(method, route, body, this.login.access_token);
  }
}
