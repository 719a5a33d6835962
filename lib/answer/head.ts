/** The head of an answer, its status and headers: remembered, put back, and read from what `writeHead` is given. */
import type { OutgoingHttpHeaders } from "node:http";
import type { Response } from "express";

/** How Node remembers headers that were removed and that it would add by itself. */
interface Internals {
  _removedConnection?: unknown;
  _removedContLen?: unknown;
  _removedTE?: unknown;
}

/**
 * The status as it was at one moment, and what belongs to it. Express removes Transfer-Encoding for a 304, and an error
 * page in its place must have it.
 */
export class Status {
  readonly code: number;
  readonly #message: string | undefined;
  readonly #sendDate: boolean;
  // Each by itself: a list of them, kept by an answer, would keep the answer until the next collection of all.
  readonly #removedConnection: unknown;
  readonly #removedLength: unknown;
  readonly #removedEncoding: unknown;

  constructor(res: Response & Internals) {
    this.code = res.statusCode;
    // HTTP/2 has no status message, and Node warns of whoever asks for one.
    this.#message = isHttp2(res) ? undefined : res.statusMessage;
    this.#sendDate = res.sendDate;
    this.#removedConnection = res._removedConnection;
    this.#removedLength = res._removedContLen;
    this.#removedEncoding = res._removedTE;
  }

  /** Unless a head was sent. */
  putBack(res: Response & Internals): void {
    if (res.headersSent) return;
    res.statusCode = this.code;
    res.sendDate = this.#sendDate;
    if (isHttp2(res)) return;
    res.statusMessage = this.#message as string;
    res._removedConnection = this.#removedConnection;
    res._removedContLen = this.#removedLength;
    res._removedTE = this.#removedEncoding;
  }
}

/** Status and headers as they were at one moment. */
export class Head {
  readonly status: Status;
  readonly #headers: OutgoingHttpHeaders;

  constructor(res: Response) {
    this.status = new Status(res);
    this.#headers = headersOf(res);
  }

  /** Unless a head was sent. */
  putBack(res: Response): void {
    putBackHeaders(res, this.#headers);
    this.status.putBack(res);
  }
}

/** The headers as they are now. */
export function headersOf(res: Response): OutgoingHttpHeaders {
  const headers = res.getHeaders();
  for (const name in headers) {
    const value = headers[name];
    // `appendHeader` adds to the list that is there.
    if (Array.isArray(value)) headers[name] = [...value];
  }
  return headers;
}

/** Puts headers back, unless they were sent. */
export function putBackHeaders(res: Response, headers: OutgoingHttpHeaders): void {
  if (res.headersSent) return;
  for (const name of res.getHeaderNames()) if (!(name in headers)) res.removeHeader(name);
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && res.getHeader(name) !== value) res.setHeader(name, value);
  }
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

export type HeaderChange = "setHeader" | "setHeaders" | "appendHeader" | "removeHeader";

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

export function isHttp2(res: Response): boolean {
  return res.req?.httpVersionMajor === 2;
}
