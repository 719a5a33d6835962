/** What happens in a schedule, and which troubles it meets: each stresses some rules of the users' index. */

/** What a browser, or an administrator, may do. */
export type Act =
  | "request"
  | "save"
  | "maxAge"
  | "signIn"
  | "inPlace"
  | "anonymous"
  | "signOut"
  | "list"
  | "revoke"
  | "except"
  | "only"
  | "everyone";

export interface Scenario {
  readonly acts: readonly Act[];
  /** How many acts there are at most, beyond the first four; default 12. */
  readonly length?: number;
  /** Calls of the store fail, before or after their effect, or take effect late. */
  readonly faults?: boolean;
  /** Processes die. */
  readonly crashes?: boolean;
  /** A user may have one, two or three sessions only. */
  readonly limit?: boolean;
  /** Users' records vanish. */
  readonly evictions?: boolean;
  /** Clocks of processes are five minutes fast or slow. */
  readonly skew?: boolean;
  /** Time jumps by one of these, in milliseconds. */
  readonly jumps?: readonly number[];
  /** Whatever is under way when time jumps goes on after that: processes stood still. */
  readonly frozen?: boolean;
  /** There are two users. */
  readonly users?: boolean;
  /** `safe_password` changes, one process after the other. */
  readonly rotation?: boolean;
  /** Every browser has a session to begin with that nobody is signed in to. */
  readonly anonymous?: boolean;
  /** Sessions are saved more often than `touch_interval`, for an hour. */
  readonly often?: boolean;
}

export const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

const ALL: readonly Act[] = [
  ...(["request", "request", "save", "signIn", "signIn", "signIn", "inPlace", "anonymous"] as const),
  ...(["signOut", "list", "revoke", "except", "only"] as const),
];

export const SCENARIOS = {
  calm: { acts: ALL },
  often: { acts: ["list", "list", "revoke", "request"], often: true, length: 1 },
  busy: {
    acts: ["save", "save", "save", "request", "signIn"],
    jumps: [MINUTE, 3 * MINUTE, 9 * MINUTE],
    length: 40,
  },
  remember: {
    acts: ["save", "request", "maxAge", "signIn", "signIn", "list"],
    jumps: [MINUTE, 19 * MINUTE, DAY],
    faults: true,
    length: 25,
  },
  faults: { acts: ALL, faults: true, crashes: true },
  limit: {
    acts: ["request", "signIn", "signIn", "signIn", "inPlace", "anonymous", "signOut"],
    limit: true,
    faults: true,
    crashes: true,
  },
  limitRevoke: { acts: ALL, limit: true, faults: true, crashes: true, jumps: [MINUTE, 9 * MINUTE] },
  evict: { acts: ALL, evictions: true, faults: true, crashes: true },
  evictLimit: { acts: ALL, evictions: true, limit: true, crashes: true },
  frozen: { acts: [...ALL, "list"], frozen: true, jumps: [MINUTE, 2 * MINUTE], skew: true, crashes: true },
  inPlaceRevoke: {
    acts: ["inPlace", "inPlace", "revoke", "request", "request"],
    anonymous: true,
    faults: true,
    crashes: true,
    length: 8,
  },
  skewEnds: {
    acts: ["save", "request", "signIn", "list"],
    skew: true,
    jumps: [MINUTE, 9 * MINUTE, 12 * MINUTE, 14 * MINUTE],
    length: 40,
  },
  frozenLists: { acts: ["signIn", "list", "list", "revoke", "request"], frozen: true, jumps: [MINUTE], length: 8 },
  skew: { acts: ALL, skew: true, faults: true, crashes: true, jumps: [MINUTE, 3 * MINUTE] },
  users: { acts: ALL, users: true, faults: true, crashes: true },
  rotation: { acts: ALL, rotation: true, crashes: true, jumps: [MINUTE] },
  everyone: { acts: [...ALL, "everyone", "everyone"], users: true, evictions: true, crashes: true },
  all: {
    acts: [...ALL, "maxAge"],
    users: true,
    limit: true,
    faults: true,
    crashes: true,
    evictions: true,
    skew: true,
    jumps: [MINUTE, 5 * MINUTE],
  },
} satisfies Record<string, Scenario>;

export type ScenarioName = keyof typeof SCENARIOS;
