/** The head of an answer, its status and headers: remembered, put back, and read from what `writeHead` is given. */
import type { OutgoingHttpHeaders } from "node:http";
import type { Response } from "express";

/** Status and headers as they were at one moment. */
export interface Head {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly headers: OutgoingHttpHeaders;
}

/**
 * Beside the status, how Node remembers headers that were removed and that it would add by itself. Express removes
 * Transfer-Encoding for a 304, and an error page in its place must have it.
 */
const FIELDS = ["statusCode", "statusMessage", "_removedConnection", "_removedContLen", "_removedTE", "sendDate"];
/** HTTP/2 has no status message, and Node warns of whoever asks for one. */
const FIELDS_OF_HTTP2 = ["statusCode", "sendDate"];

export function headOf(res: Response): Head {
  const names = isHttp2(res) ? FIELDS_OF_HTTP2 : FIELDS;
  const fields = Object.fromEntries(names.map((name) => [name, Reflect.get(res, name)]));
  return { fields, headers: res.getHeaders() };
}

/** Puts a head back, unless one was sent. */
export function restore(res: Response, { fields, headers }: Head): void {
  if (res.headersSent) return;
  for (const name of res.getHeaderNames()) if (!(name in headers)) res.removeHeader(name);
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && res.getHeader(name) !== value) res.setHeader(name, value);
  }
  Object.assign(res, fields);
}

/**
 * Sets what `writeHead` is given, in all its forms, as `setHeader` does: given to Node as they are, these headers would
 * take the place of those that were set before, the session's cookie among them.
 *
 * @returns the arguments that are left: the status, and the reason if there is one
 */
export function setHead(res: Response, [status, reason, given]: readonly unknown[]): unknown[] {
  // As Node calls it by itself, with each answer.
  if (reason === undefined && given === undefined) {
    res.statusCode = Number(status);
    return [status];
  }
  const isReason = typeof reason === "string";
  const headers = given ?? (isReason ? undefined : reason);
  if (Array.isArray(headers)) setList(res, headers);
  else if (typeof headers === "object" && headers !== null) setEach(res, Object.entries(headers));
  res.statusCode = Number(status);
  if (!isReason) return [status];
  if (!isHttp2(res)) res.statusMessage = reason;
  return [status, reason];
}

type HeaderChange = "setHeader" | "setHeaders" | "appendHeader" | "removeHeader";

/** Asks before each change to the headers whether it is to be made; one that is not is ignored. */
export function guardHeaders(res: Response, isAllowed: (name: HeaderChange) => boolean): void {
  for (const name of ["setHeader", "setHeaders", "appendHeader", "removeHeader"] as const) {
    const change: unknown = res[name];
    // HTTP/2's response has no setHeaders.
    if (typeof change !== "function") continue;
    const guarded = (...args: never[]) => (isAllowed(name) ? Reflect.apply(change, res, args) : res);
    Object.assign(res, { [name]: guarded });
  }
}

/** What Node throws when headers come too late. */
export function headersSent(what: HeaderChange | "writeHead"): Error {
  const verb = what.replace(/Headers?$|Head$/, "");
  const error = new Error(`Cannot ${verb} headers after they are sent to the client`);
  return Object.assign(error, { code: "ERR_HTTP_HEADERS_SENT" });
}

/** A list of names and values in turn, or of pairs. What is there twice is sent twice. */
function setList(res: Response, list: readonly unknown[]): void {
  const pairs = Array.isArray(list[0]) ? (list as unknown[][]) : pairsOf(list);
  const values = new Map<string, [name: string, values: unknown[]]>();
  for (const [name, value] of pairs) {
    const [first, earlier] = values.get(String(name).toLowerCase()) ?? [String(name), []];
    values.set(first.toLowerCase(), [first, [...earlier, value].flat()]);
  }
  setEach(
    res,
    [...values.values()].map(([name, all]) => [name, all.length === 1 ? all[0] : all]),
  );
}

function pairsOf(list: readonly unknown[]): unknown[][] {
  if (list.length % 2 === 0) return list.flatMap((name, at) => (at % 2 === 0 ? [[name, list[at + 1]]] : []));
  // As Node's own.
  const fault = new TypeError("The headers given to writeHead are names and values in turn, and their number is odd.");
  throw Object.assign(fault, { code: "ERR_INVALID_ARG_VALUE" });
}

/** Node checks names and values. It leaves out an empty name. */
function setEach(res: Response, headers: Iterable<readonly [name: string, value: unknown]>): void {
  for (const [name, value] of headers) if (name) res.setHeader(name, value as string);
}

/** Whether Node made it. Its prototype does not tell: Express gives its own to every response, and that is of Node's. */
export function isNodes(res: Response): boolean {
  return Object.hasOwn(res, "_header") || isHttp2(res);
}

function isHttp2(res: Response): boolean {
  return res.req?.httpVersionMajor === 2;
}
