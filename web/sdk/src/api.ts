/**
 * The public face, as types: what an app is written against.
 *
 *     app ─ calls ─▶ Client ─▶ (this tab's socket, or the tab's that has it) ─▶ server
 *         ◀─ Live values: status, spaces, a stream's messages, records, conflicts, notices ──
 *
 * Whatever writes is kept on the device before its promise is made, and takes effect once, whatever happens to tab, socket or server. A
 * promise of such a call is fulfilled when the server has committed it, and rejected with `Refused` when it never will be; an app that
 * shows `LiveStream` or `LiveRecords` need not wait for either.
 */
import type { Attachment, Code, Conflict, ConflictPage, Fields, Found, HeldPage, MemberPage, MentorsFound, MentorshipPage, Operation, Person, ReportPage, Value, VersionPage } from "./protocol";

/** A value that changes. `subscribe` calls back at once, and after each change; what it returns ends that. */
export interface Live<T> {
  readonly value: T;
  subscribe(listener: (value: T) => void): () => void;
}

/** A live value that belongs to somebody who looks: `close` it when nobody does any more. */
export interface Open<T> extends Live<T> {
  close(): void;
}

/** How it stands with the server. `waitMs`: to the next attempt. `pending`: mutations without an outcome; `behind`: streams that are not
 *  complete; `failed`: refused for good and not seen to; `conflicts`: those that wait for a decision; `syncedAt`: when last everything was
 *  up and down, in Unix milliseconds (0: never). */
export interface Status {
  readonly state: "signed-out" | "connecting" | "online" | "waiting" | "ended";
  readonly waitMs: number;
  readonly code: Code;
  readonly detail: string;
  readonly user: number;
  readonly pending: number;
  readonly behind: number;
  readonly failed: number;
  readonly conflicts: number;
  readonly syncedAt: number;
  /** The last round trip, in milliseconds; 0: not measured. */
  readonly roundTripMs: number;
  /** Whether this tab has the socket; another one's tab is as good. */
  readonly leader: boolean;
}

/** Who is logged in here. */
export interface Me {
  readonly user: number;
  readonly device: number;
  readonly name: string;
  readonly displayName: string;
}

/** The password was right, and not enough: give `prove` a code. */
export interface Challenge {
  readonly challenge: string;
  readonly methods: readonly string[];
  /** Options for `navigator.credentials.get`, where a passkey is a method: what it gives goes to `auth/mfa`, and that answer to `adopt`. */
  readonly passkey?: unknown;
}

/** A stream of a space, as one is told of it. `head`: its last event; `read`: up to where one has read; `unread`: messages of others after
 *  that (of what is not here each event counts). */
export interface StreamView {
  readonly stream: number;
  readonly kind: number;
  readonly name: string;
  readonly head: number;
  readonly read: number;
  readonly unread: number;
  readonly mayWrite: boolean;
}

/** A community, conversation or own space. */
export interface SpaceView {
  readonly space: number;
  readonly kind: number;
  readonly name: string;
  readonly role: number;
  readonly streams: readonly StreamView[];
}

export interface Invitation {
  readonly space: number;
  readonly name: string;
  readonly role: number;
  readonly by: number;
  readonly byName: string;
}

/** Where one is, and where one could be. */
export interface Places {
  readonly spaces: readonly SpaceView[];
  readonly invitations: readonly Invitation[];
  readonly blocked: ReadonlySet<number>;
}

/** A file that its message waits for. `done`: bytes that the server has; `why`: it will not have this one; `hash`: SHA-256 in hexadecimal,
 *  once that is known. */
export interface WaitingFile {
  readonly name: string;
  readonly media_type: string;
  readonly size: number;
  readonly done: number;
  readonly state: "waiting" | "sending" | "ready" | "refused";
  readonly why: string;
  readonly hash: string;
}

/** A message as it stands now. Of one's own that is not committed yet `seq` is 0 and `key` names it (below 0: it waits for `files`);
 *  `failed` says why it never will be. `reactions`: who reacted how. One that did not change is the same object as before. */
export interface Message {
  readonly seq: number;
  readonly key: number;
  readonly author: number;
  readonly at: number;
  readonly text: string;
  readonly replyTo: number;
  readonly mentions: readonly number[];
  readonly edited: boolean;
  readonly deleted: boolean;
  readonly attachments: readonly Attachment[];
  readonly files: readonly WaitingFile[];
  readonly reactions: ReadonlyMap<string, ReadonlySet<number>>;
  readonly state: "sent" | "waiting" | "failed";
  readonly failed: string;
}

/** A channel or conversation. `start`: the first event that is here is after it (0: all are); `caughtUp`: nothing is known to be missing;
 *  `refused`: why it may not be read, 0 while it may. */
export interface Conversation {
  readonly stream: number;
  readonly start: number;
  readonly upto: number;
  readonly caughtUp: boolean;
  readonly refused: Code;
  readonly messages: readonly Message[];
  /** Of messages from before `start` that `history` gave while this is followed: how those stand to which something happened since. */
  readonly mended: ReadonlyMap<number, Message>;
  /** Who is typing now, without oneself. */
  readonly typing: readonly number[];
}

export interface LiveStream extends Open<Conversation> {
  /** Puts an older page in front; false: there is none. Needs a socket. */
  older(count?: number): Promise<boolean>;
}

/** A record as it is seen: confirmed fields with one's own changes over them. `pending`: how many of those have no outcome. */
export interface RecordView {
  readonly stream: number;
  readonly entity: number;
  readonly key: number;
  readonly version: number;
  readonly fields: Fields;
  readonly gone: boolean;
  readonly pending: number;
}

/** Whether a stream's records are on this device, so that they are there without a network. `known`: this tab has been told. */
export interface Kept {
  readonly known: boolean;
  readonly here: boolean;
}

/** What somebody is told of; `seq` is its name. */
export interface NoticeView {
  readonly seq: number;
  readonly at: number;
  readonly kind: number;
  readonly actor: number;
  readonly space: number;
  readonly stream: number;
  readonly target: number;
  readonly subject: number;
  readonly words: string;
  readonly read: boolean;
}

/** A mutation that was refused for good, until somebody has seen to it. */
export interface Failure {
  readonly key: number;
  readonly operation: Operation;
  readonly code: Code;
  readonly detail: string;
  readonly at: number;
}

/** A mutation that has no outcome yet. */
export interface Unsent {
  readonly key: number;
  readonly operation: Operation;
}

export interface SayOptions {
  readonly replyTo?: number;
  readonly mentions?: readonly number[];
  /** Finished uploads of one's own. */
  readonly attachments?: readonly number[];
  /** At most 8. They are kept here, and sent when nothing else is to be sent; the message follows them. */
  readonly files?: readonly NewFile[];
}

export interface NewFile {
  readonly name: string;
  readonly blob: Blob;
}

/** Where files of a lesson go: `section` of a `community`, as it stood at `version`, with the files `before`. */
export interface LessonFiles {
  readonly community: number;
  readonly section: number;
  readonly version: number;
  readonly before: readonly number[];
}

/** An answer to a checkpoint's question: `choices` are places of options, `text` what was written, `seconds` how long it took. */
export interface Attempt {
  readonly choices?: readonly number[];
  readonly text?: string;
  readonly seconds?: number;
}

/** Why a conflict is decided so. */
export interface Decision {
  readonly choice: "mine" | "theirs" | "merged";
  /** Of `merged`: the fields. */
  readonly fields?: Fields;
}

/** What a mentor is asked for; what is left out is taken from one's own records. */
export interface MentorWish {
  readonly subjects?: readonly string[];
  readonly level?: number;
  readonly styles?: number;
  readonly languages?: readonly string[];
  readonly hours?: readonly number[];
  readonly space?: number;
  readonly limit?: number;
}

/** Two doors to the session, in whichever tab it is: for what comes by itself when it is first asked for (`documents`, `uploads`). */
export interface Hub {
  call(method: string, ...given: unknown[]): Promise<unknown>;
  /** Calls back where a value is known, and at each change; what it returns ends that. */
  open(topic: string, given: readonly number[], listener: (value: unknown) => void): () => void;
}

export interface Client {
  readonly hub: Hub;
  readonly status: Live<Status>;
  readonly me: Live<Me | null>;
  readonly places: Live<Places>;
  readonly notices: Live<readonly NoticeView[]>;
  readonly conflicts: Live<readonly Conflict[]>;
  readonly failures: Live<readonly Failure[]>;

  /** Opens an account and logs in. Rejected with `AccountError` or `Unreachable`. */
  signUp(name: string, password: string, displayName?: string): Promise<Me>;
  /** Logs in; a `Challenge` where a second factor is asked for. */
  logIn(name: string, password: string): Promise<Me | Challenge>;
  /** The second step: a code of six digits, or a recovery code. */
  prove(challenge: string, code: string): Promise<Me>;
  /** Takes over a login that was got otherwise, for example by a passkey: the answer's JSON. */
  adopt(login: unknown): Promise<Me>;
  /** Ends this session, or all of the account's, and forgets what is kept here. */
  logOut(everywhere?: boolean): Promise<void>;
  /** One question to a route under `/api/v1/` as oneself, JSON for JSON. */
  ask<T>(method: string, route: string, body?: unknown): Promise<T>;

  /** A channel or conversation: what is kept here at once, then what comes. */
  follow(stream: number): LiveStream;
  /** A message; the promise is of its number. Shown at once by `follow`. With files it needs no text: their names are it. Rejected with
   *  `DiskFull` where files cannot be kept, and `Refused` (GONE) when `discard` is given the message's key. */
  say(stream: number, text: string, options?: SayOptions): Promise<number>;
  /** Puts files into a community's library and names them in a section of a lesson; sent when nothing else is to be sent. The promise is of the
   *  change's outcome. `lessonFiles` has those that wait; `retryFiles` and `discard` take their key. */
  addLessonFiles(library: number, to: LessonFiles, files: readonly NewFile[]): Promise<number>;
  lessonFiles(library: number, section: number): Open<readonly Message[]>;
  /** The bytes of a file that waits (`place`: its place in the message's `files`); null: it is not here any more. */
  waitingFile(message: number, place: number): Promise<Blob | null>;
  /** Tries a message again whose files were refused. */
  retryFiles(message: number): Promise<void>;
  edit(stream: number, target: number, text: string): Promise<number>;
  remove(stream: number, target: number): Promise<number>;
  react(stream: number, target: number, emoji: string, on?: boolean): Promise<number>;
  markRead(stream: number, seq: number): Promise<number>;
  /** Tells the others that one is typing; forgotten while offline. */
  typing(stream: number): void;
  /** Any operation; the promise is of its value. */
  submit(operation: Operation): Promise<number>;

  /** Records of one entity, by key. */
  records(stream: number, entity: number): Open<readonly RecordView[]>;
  /** One record. */
  record(stream: number, entity: number, key: number): Open<RecordView>;
  /** Whether a stream's records are here; not where there was no room for them. */
  kept(stream: number): Open<Kept>;
  /** Writes fields of a record; the promise is of the outcome (`n * 8 + what`, docs/sync.md). `base`: the version that its writer had before
   *  them, where they began some time ago; what others wrote since then meets it by the rules. Without it, what is here now. */
  change(stream: number, entity: number, key: number, fields: ReadonlyMap<number, Value>, base?: number): Promise<number>;
  erase(stream: number, entity: number, key: number): Promise<number>;
  /** A new record's key. */
  newKey(): number;
  /** Answers a question: in the stream of one's own answers of its community. */
  attempt(answers: number, question: number, attempt: Attempt): Promise<number>;

  resolve(conflict: Conflict, decision: Decision): Promise<number>;
  reopen(conflict: number): Promise<number>;
  claim(conflict: number, on?: boolean): Promise<number>;
  /** Conflicts as the server has them, also others' about what one may write, by ascending number after `after`; `conflict`: that one alone;
   *  `open`: none that is decided. Needs a link. */
  allConflicts(where?: { after?: number; conflict?: number; open?: boolean }): Promise<ConflictPage>;
  /** What waits for its outcome, oldest first. */
  unsent(): Open<readonly Unsent[]>;
  /** What was there before, newest first. */
  versions(stream: number, entity: number, key: number, before?: number): Promise<VersionPage>;
  /** Somebody has seen to a refused mutation, or calls off a message that waits for its files. */
  discard(failure: number): Promise<void>;

  members(space: number, after?: number): Promise<MemberPage>;
  search(name: string): Promise<Person>;
  /** Messages with these words wherever one reads, whole words first, newest first. `place`: `Found.next` of the page before. Needs the network. */
  find(words: string, where?: { space?: number; stream?: number; place?: Uint8Array; limit?: number }): Promise<Found>;
  history(stream: number, where: { before?: number; after?: number; limit?: number }): Promise<Conversation>;
  reports(where?: { space?: number; platform?: boolean; after?: number }): Promise<ReportPage>;
  held(where?: { space?: number; platform?: boolean; after?: number }): Promise<HeldPage>;
  findMentors(wish: MentorWish): Promise<MentorsFound>;
  mentorships(after?: number): Promise<MentorshipPage>;
  markNotices(notices: readonly number[]): Promise<void>;
  /** Who is there, of a space; on until closed. Empty on a bad link. */
  watch(space: number): Open<{ readonly online: number; readonly users: readonly number[] }>;

  /** There is reason to try now: the network is back, somebody is looking. */
  hurry(): void;
  /** Ends everything; what is kept stays. */
  close(): Promise<void>;
}
