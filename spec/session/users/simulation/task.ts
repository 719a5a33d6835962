/** Who does what in a simulation: browsers, and what they have under way. */
import type { Call, Process } from "./process.js";
import type { Act } from "./scenarios.js";

export const USERS = ["ada", "eve"] as const;
export type User = (typeof USERS)[number];

/** What is known of a sign-in, and of the session that it makes. */
export interface SignedInSession {
  /** That of the sign-in's task. */
  readonly name: string;
  readonly kind: Act;
  readonly user: User;
  readonly browser: Browser;
  /** Steps of the simulation, as all below: when the sign-in began. */
  readonly start: number;
  sid: string;
  /** The id of the session that it takes the place of. */
  readonly replaces: string | undefined;
  handle: string | undefined;
  /** When its handle was listed, and when the session was there. */
  entered?: number;
  written?: number;
  resolved?: number;
  rejected?: number;
  removed?: number;
  /** When its sign-out was told. */
  over?: number;
  /** Written after whoever signed in was told that it failed. */
  isLate?: boolean;
  hasEvicted?: boolean;
  isEvictedUnjustly?: boolean;
  /** What may have ended it. */
  readonly causes: Set<string>;
}

/** A call of `sessions.users` that ends sessions. */
export interface Revoke {
  readonly name: string;
  readonly kind: Act;
  readonly start: number;
  /** What it must end, if that was listed when it was marked. */
  mustEnd(session: SignedInSession): boolean;
  /** What it may end beside. */
  mayEnd(session: SignedInSession): boolean;
  /** When its mark took effect. */
  mark?: number;
  /** The handles that were marked then. */
  marked?: ReadonlySet<string>;
  resolved?: number;
  /** From when on nothing of it takes effect any more. */
  end: number;
}

/** What a request saw while it loaded its session. */
export interface Seen {
  session?: number;
  user?: number | undefined;
  /** Whether it asked for the user's record. */
  hasAsked: boolean;
}

export interface Browser {
  readonly id: number;
  /** The session id in its cookie. */
  sid: string | undefined;
}

/** A request, or a call of `sessions.users`. */
export class Task {
  readonly name: string;
  readonly kind: Act;
  readonly process: Process;
  /** Whether others overtake it. */
  isSlow = false;
  isOver = false;
  /** Whether one of its calls failed. */
  hadTrouble = false;
  /** Whether a removal failed, which may have had its effect. */
  mayHaveRemoved = false;
  /** Of a sign-in: whether the session that it takes the place of is removed. */
  hasReplaced = false;
  /** Whether its process died, or `store_timeout` was over. */
  wasCutOff = false;
  /** While it loads its session. */
  loading: Seen | undefined;
  /** Of a sign-in. */
  session: SignedInSession | undefined;
  revoke: Revoke | undefined;
  /** Whose sessions it saw under which key. */
  readonly sawHandles = new Map<string, string | undefined>();
  /** When it began to look at the sessions of a user, as it does for the limit. */
  lookedSince: number | undefined;

  constructor(name: string, kind: Act, process: Process) {
    this.name = name;
    this.kind = kind;
    this.process = process;
  }

  noteTrouble(op?: Call["op"]): void {
    this.hadTrouble = true;
    if (op === "remove") this.mayHaveRemoved = true;
    // Served although its user's record could not be read, or not be written: it did not find out all there is.
    if (this.loading) this.loading.user = undefined;
  }

  cutOff(): void {
    this.wasCutOff = true;
    this.noteTrouble();
  }
}
