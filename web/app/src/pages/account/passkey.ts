/**
 * Passkeys, as browsers make and use them: the server's JSON ─▶ what the browser wants ─▶ what it gave, as JSON.
 *
 * Own conversions between base64url and bytes: browsers that have passkeys had them years before `parseCreationOptionsFromJSON`.
 */
import type { Challenge, Client } from "../../../../sdk/src/api";
import { deviceName } from "../../session";

/** What `POST /auth/passkeys/challenge` and a log-in's second step ask. */
export interface Question {
  readonly challenge: string;
  readonly passkey?: unknown;
}

/** Nobody touched, looked or typed: the browser does not say why. */
export class NoPasskey extends Error {}
/** This device has one of the account already. */
export class KnownPasskey extends Error {}

type Named = { readonly id: string; readonly type: "public-key"; readonly transports?: AuthenticatorTransport[] };
type Creation = Omit<PublicKeyCredentialCreationOptions, "challenge" | "user" | "excludeCredentials"> & {
  readonly challenge: string;
  readonly user: { readonly id: string; readonly name: string; readonly displayName: string };
  readonly excludeCredentials?: readonly Named[];
};
type Request = Omit<PublicKeyCredentialRequestOptions, "challenge" | "allowCredentials"> & { readonly challenge: string; readonly allowCredentials?: readonly Named[] };

function bytes(text: string): Uint8Array<ArrayBuffer> {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (one) => one.charCodeAt(0));
}

function text(raw: ArrayBuffer): string {
  return btoa(String.fromCharCode(...new Uint8Array(raw))).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

const named = (list: readonly Named[] = []) => list.map((one) => ({ ...one, id: bytes(one.id) }));

async function ceremony(act: () => Promise<Credential | null>): Promise<PublicKeyCredential> {
  try {
    const made = await act();
    if (made) return made as PublicKeyCredential;
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    if (error.name === "InvalidStateError") throw new KnownPasskey(error.message);
    throw new NoPasskey(error.message);
  }
  throw new NoPasskey();
}

/** Asks the browser to make one. Throws `NoPasskey`, `KnownPasskey`. */
export async function makePasskey(options: unknown): Promise<unknown> {
  const { challenge, user, excludeCredentials, ...more } = options as Creation;
  const publicKey = { ...more, challenge: bytes(challenge), user: { ...user, id: bytes(user.id) }, excludeCredentials: named(excludeCredentials) };
  const made = await ceremony(() => navigator.credentials.create({ publicKey }));
  const { clientDataJSON, attestationObject, getTransports } = made.response as AuthenticatorAttestationResponse;
  const transports = getTransports?.call(made.response) ?? [];
  return { id: made.id, rawId: text(made.rawId), type: made.type, response: { clientDataJSON: text(clientDataJSON), attestationObject: text(attestationObject), transports } };
}

/** Asks the browser to use one. Throws `NoPasskey`. */
export async function usePasskey(options: unknown): Promise<unknown> {
  const { challenge, allowCredentials, ...more } = options as Request;
  const publicKey = { ...more, challenge: bytes(challenge), allowCredentials: named(allowCredentials) };
  const used = await ceremony(() => navigator.credentials.get({ publicKey }));
  const { clientDataJSON, authenticatorData, signature, userHandle } = used.response as AuthenticatorAssertionResponse;
  const response = { clientDataJSON: text(clientDataJSON), authenticatorData: text(authenticatorData), signature: text(signature), ...(userHandle ? { userHandle: text(userHandle) } : {}) };
  return { id: used.id, rawId: text(used.rawId), type: used.type, response };
}

/** The second step of a log-in, or all of one. False: no passkey was used. Rejected with an error of the SDK. */
export async function logInByPasskey(client: Client, step?: Challenge): Promise<boolean> {
  try {
    const question = step ?? (await client.ask<{ mfa: Question }>("POST", "auth/passkeys/challenge", { device_name: deviceName })).mfa;
    const passkey = await usePasskey(question.passkey);
    await client.adopt(await client.ask("POST", "auth/mfa", { challenge: question.challenge, passkey }));
    return true;
  } catch (error) {
    if (error instanceof NoPasskey) return false;
    throw error;
  }
}
