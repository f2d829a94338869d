/** What can go wrong, by name. */
import type { Code } from "./protocol";

/** The peer's fault: `code` says which, `tag` of which message as far as that can be read. */
export class BadFrame extends Error {
  constructor(
    readonly code: Code,
    detail: string,
    readonly tag = 0,
  ) {
    super(detail);
  }
}

/** Fields that the table of entities does not allow. The text names the field and what is allowed; the code is the server's for the same. */
export class BadFields extends Error {
  readonly code = 1;
}

/** Too many mutations have no outcome. */
export class QueueFull extends Error {
  readonly code = 25;
}

/** A request that was refused for good. */
export class RequestFailed extends Error {
  constructor(
    readonly code: Code,
    detail: string,
  ) {
    super(detail || `refused with code ${code}`);
  }
}

/** The disk has no room. */
export class DiskFull extends Error {}

/** The server does not keep to the protocol: the socket is given up, and the next one begins anew. */
export class ServerFault extends Error {}

/** Another program speaks as this device: its store was copied. */
export class DeviceCopied extends Error {}

/** A mutation that will never take effect. `code` says why (docs/protocol.md, "Codes"). */
export class Refused extends Error {
  constructor(
    readonly code: number,
    detail: string,
  ) {
    super(detail || `refused with code ${code}`);
  }
}

/** The server refused an account's request. `final`: asking again with the same is of no use. */
export class AccountError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly title: string,
    readonly detail: string,
    readonly retryAfterS: number,
  ) {
    super(detail || title || `HTTP status ${status}`);
  }

  get final(): boolean {
    return this.status >= 400 && this.status < 500 && this.status !== 408 && this.status !== 429;
  }
}

/** No server there, or no way to it. */
export class Unreachable extends Error {}

/** What is needed to go on has not been loaded: the socket is given up, and the next one tries again. */
export class NotYet extends Error {}
