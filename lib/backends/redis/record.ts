/** A record as one text, and the scripts that change it in one step. One key a script, so that each is safe in a Cluster. */
import { createHash } from "node:crypto";
import type { Expected, StoredRecord } from "../backend.js";

/** Rises when a reader of the older format could not read the newer one. */
const FORMAT = "tk1 ";
/** As wide as the longest number, so that a touch can write it in place. */
const EXPIRES_WIDTH = 24;
const VERSION_AT = FORMAT.length + EXPIRES_WIDTH + 1;

/** What Redis takes for a time to live, at most: far above any use. Milliseconds. */
const LONGEST = 8.64e15;

/**
 * `live` is whether the key holds a record of ours that has not expired, `holds` whether such a head is of this version.
 * KEYS[1] is the key, ARGV[1] the time.
 */
const HEAD = `
  local function read(width)
    local head = redis.call('GETRANGE', KEYS[1], 0, ${VERSION_AT} + width)
    local ours = head:sub(1, ${FORMAT.length}) == '${FORMAT}'
    local expires = ours and tonumber(head:sub(${FORMAT.length + 1}, ${VERSION_AT - 1})) or 0
    return head, ours, expires > tonumber(ARGV[1]), expires
  end
  local function holds(head, version)
    return head:sub(${VERSION_AT + 1}, ${VERSION_AT} + #version + 1) == version .. '\\n'
  end
`;

/** ARGV: time, time to live, expected, version, record. Answers 1; 0 for something else than expected; -1 for a stranger's key. */
export const WRITE = script(`
  local expected, version = ARGV[3], ARGV[4]
  local head, ours, live = read(math.max(#expected, #version) + 1)
  if expected ~= 'any' then
    if live and holds(head, version) then return 1 end
    if expected == 'absent' then
      if live then return 0 end
    elseif not (live and holds(head, expected:sub(2))) then
      return 0
    end
  end
  if tonumber(ARGV[2]) <= 0 then
    if ours then redis.call('DEL', KEYS[1]) end
    return 1
  end
  -- Where there is nothing of ours there must be nothing at all.
  if ours then
    redis.call('SET', KEYS[1], ARGV[5], 'PX', ARGV[2])
  elseif not redis.call('SET', KEYS[1], ARGV[5], 'PX', ARGV[2], 'NX') then
    return -1
  end
  return 1
`);

/** ARGV: time, time to live, expiry, version. Answers 1; 0 where that version is not there. */
export const TOUCH = script(`
  local head, _, live, expires = read(#ARGV[4] + 1)
  if not (live and holds(head, ARGV[4])) then return 0 end
  if tonumber(ARGV[3]) <= expires then return 1 end
  redis.call('SETRANGE', KEYS[1], ${FORMAT.length}, ARGV[3])
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return 1
`);

/** ARGV: time. */
export const REMOVE = script(`
  local _, ours, live = read(0)
  if ours then redis.call('DEL', KEYS[1]) end
  return live and 1 or 0
`);

/** Does all that a user must be allowed to, on a key that nobody sees meanwhile. */
export const TRY = script(`
  local key = KEYS[1]
  local commands = {
    {'GET', key}, {'SET', key, 'tk', 'PX', '1000', 'NX'}, {'SETRANGE', key, '0', 'TK'}, {'GETRANGE', key, '0', '1'},
    {'PEXPIRE', key, '1000'}, {'DEL', key},
  }
  for _, command in ipairs(commands) do
    local answer = redis.pcall(unpack(command))
    local refused = type(answer) == 'table' and answer.err
    if refused then
      redis.pcall('DEL', key)
      -- What a user may not run, Redis 7.0 does not name; Redis 7.2 and Valkey name the user. None names what it does not know.
      local said = refused:gsub('^@user_script: ?%d+: %-?', ''):gsub('^ERR ', '')
      if said:find("can't run this command", 1, true) or said:find('permissions to run', 1, true) then
        refused = 'NOPERM this user may not run ' .. command[1]
      elseif not said:find('^%u%u+ ') and not said:upper():find(command[1], 1, true) then
        refused = 'NOCOMMAND ' .. command[1] .. ': ' .. said
      end
      return redis.error_reply(refused)
    end
  end
  return 1
`);

export interface Script {
  readonly text: string;
  readonly sha: string;
}

function script(body: string): Script {
  const text = HEAD + body;
  return { text, sha: createHash("sha1").update(text).digest("hex") };
}

/** `undefined` for what is not a record of ours. */
export function decode(text: string): StoredRecord | undefined {
  const end = text.indexOf("\n");
  const expires = Number(text.slice(FORMAT.length, VERSION_AT - 1));
  if (!text.startsWith(FORMAT) || end < VERSION_AT || Number.isNaN(expires)) return undefined;
  try {
    return { value: text.slice(end + 1), version: decodeURIComponent(text.slice(VERSION_AT, end)), expires };
  } catch {
    return undefined;
  }
}

/** What `WRITE` takes. */
export function writeArguments(record: StoredRecord, expected: Expected, now: number): readonly string[] {
  const { value, version, expires } = record;
  const wanted = typeof expected === "string" ? expected : `=${encodeURIComponent(expected.version)}`;
  const coded = encodeURIComponent(version);
  return [...times(expires, now), wanted, coded, `${FORMAT}${padded(expires)} ${coded}\n${value}`];
}

/** What `TOUCH` takes. */
export function touchArguments(expires: number, version: string, now: number): readonly string[] {
  return [...times(expires, now), padded(expires), encodeURIComponent(version)];
}

/** The time, and the time to live. Never early: the way to Redis comes on top. */
function times(expires: number, now: number): readonly [string, string] {
  return [String(now), String(Math.min(Math.ceil(expires - now), LONGEST))];
}

function padded(expires: number): string {
  return String(expires).padStart(EXPIRES_WIDTH);
}
