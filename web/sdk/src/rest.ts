/**
 * The rest of a session, in one script: what is needed when something other happens than that it begins, goes on, and is read and written.
 *
 * Invariant: whoever has it has the rest of the wire and of the machine's rules, too.
 */
import { learnRest } from "./rest_of_wire";
import { learnRules } from "./session_machine";
import { RULES } from "./session_rules";

// In one script with the session, not beside it: build.mjs says why.
export { Core } from "./core";
export { ask, credentialsOf, hearAnnouncements, inherit, methodsOf, openDesk, token, watch } from "./face";
export { forget } from "./forgetting";
export { keepAlive } from "./heart";
export { Account, readLogin } from "./http_door";
export { clear } from "./pages";
export { makeRoom } from "./quota";
export { hasTicket, hear, lost, perform, prepare, recover } from "./recovery";
export { askLater, becameAnother, hearRest, isHint, rewindLater, startOver } from "./refusals";

learnRest();
learnRules(RULES);
