/** Signing up, logging in and the second step, as a part of a session: whoever is logged in does not load it. */
import type { Challenge, Me } from "./api";
import { Account, readLogin } from "./http_door";
import type { Inside, Part } from "./parts";

// In one script with the session, not beside it: build.mjs says why.
export { Core } from "./core";

export function part(inside: Inside): Part {
  const { options, store } = inside;
  const account = new Account(options.url, options.fetcher);
  const ask = async (route: string, body: object): Promise<any> => account.ask("POST", route, body);
  return {
    methods: {
      async signUp(name: string, password: string, displayName: string): Promise<Me> {
        const body = { name, password, display_name: displayName || name, device_name: options.deviceName };
        return inside.enter(readLogin(await ask("auth/register", body)));
      },
      async logIn(name: string, password: string): Promise<Me | Challenge> {
        // As the device that this store is, where it is the same person's; otherwise as a new one.
        const device = inside.me()?.name === name ? store.device : 0;
        const answer = await ask("auth/login", { name, password, device_name: options.deviceName, ...(device ? { device } : {}) });
        if (answer?.mfa) return { challenge: answer.mfa.challenge, methods: answer.mfa.methods ?? [], passkey: answer.mfa.passkey };
        return inside.enter(readLogin(answer));
      },
      /** A code of six digits from an authenticator, or a recovery code. */
      async prove(challenge: string, code: string): Promise<Me> {
        const digits = code.replaceAll(" ", "");
        const shown = /^\d{6}$/.test(digits) ? { code: digits } : { recovery_code: code };
        return inside.enter(readLogin(await ask("auth/mfa", { challenge, ...shown })));
      },
      adopt: (login: unknown) => inside.enter(readLogin(login)),
    },
  };
}
