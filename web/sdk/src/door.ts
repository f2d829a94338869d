/** Signing up, logging in and the second step, as a part of a session: whoever is logged in does not load it. */
import type { Challenge, Me } from "./api";
import type { Core } from "./core";
import type { Login } from "./http_door";
import type { Part } from "./parts";
import { rest } from "./rarely";

// In one script with the session, not beside it: build.mjs says why.
export { Core } from "./core";

export function part(core: Core): Part {
  const { options, store } = core;
  const { Account, readLogin } = rest()!;
  const account = new Account(options.url, options.fetcher);
  const ask = async (route: string, body: object): Promise<any> => account.ask("POST", route, body);
  return {
    methods: {
      async signUp(name: string, password: string, displayName: string): Promise<Me> {
        const body = { name, password, display_name: displayName || name, device_name: options.deviceName };
        return enter(core, readLogin(await ask("auth/register", body)));
      },
      async logIn(name: string, password: string): Promise<Me | Challenge> {
        // As the device that this store is, where it is the same person's; otherwise as a new one.
        const device = core.me()?.name === name ? store.device : 0;
        const answer = await ask("auth/login", { name, password, device_name: options.deviceName, ...(device ? { device } : {}) });
        if (answer?.mfa) return { challenge: answer.mfa.challenge, methods: answer.mfa.methods ?? [], passkey: answer.mfa.passkey };
        return enter(core, readLogin(answer));
      },
      /** A code of six digits from an authenticator, or a recovery code. */
      async prove(challenge: string, code: string): Promise<Me> {
        const digits = code.replaceAll(" ", "");
        const shown = /^\d{6}$/.test(digits) ? { code: digits } : { recovery_code: code };
        return enter(core, readLogin(await ask("auth/mfa", { challenge, ...shown })));
      },
      adopt: (login: unknown) => enter(core, readLogin(login)),
    },
  };
}

/** Somebody has logged in. */
async function enter(core: Core, login: Login): Promise<Me> {
  const { store } = core;
  core.runner?.stop();
  const before = core.me();
  // What is kept is one person's.
  if (before && before.user !== login.user) rest()!.forget(store);
  core.grant = { login };
  store.note("login", JSON.stringify(login));
  if (login.device) store.bind(login.device);
  core.prepare();
  await store.durable();
  core.connect();
  return core.me()!;
}
