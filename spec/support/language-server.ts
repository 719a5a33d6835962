/** The YAML language server that editors run (VS Code, Neovim, Helix, Zed), asked what they ask it. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath, pathToFileURL } from "node:url";

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: unknown;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

interface Diagnostics {
  readonly uri: string;
  readonly diagnostics: readonly Diagnostic[];
}

interface Diagnostic {
  readonly message: string;
  readonly severity: number;
  readonly range: { readonly start: { readonly line: number } };
}

/** One of the things that an editor offers to write. In `insertText` `$1` and `${1:…}` are where the cursor goes. */
export interface Offer {
  readonly label: string;
  readonly insertText: string;
  readonly documentation?: string;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(reason: Error): void;
}

const MAIN = fileURLToPath(
  new URL("../../node_modules/yaml-language-server/bin/yaml-language-server", import.meta.url),
);
const FLAGS = ["--disable-warning=ExperimentalWarning"];

/** The editor's settings, by their section. Nothing is fetched. */
const SETTINGS: Readonly<Record<string, unknown>> = {
  yaml: { schemaStore: { enable: false }, validate: true, hover: true, completion: true },
  editor: { tabSize: 2 },
};

export class LanguageServer {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #folder: string;
  /** By a request's number, or by the document whose faults are to come. */
  readonly #waiting = new Map<number | string, Waiting>();
  #received = Buffer.alloc(0);
  #requests = 0;
  #documents = 0;

  private constructor(folder: string) {
    this.#folder = folder;
    this.#child = spawn(process.execPath, [...FLAGS, MAIN, "--stdio"], { stdio: ["pipe", "pipe", "inherit"] });
    this.#child.stdout.on("data", (bytes: Buffer) => this.#receive(bytes));
    this.#child.once("exit", (code) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`The language server ended with ${code}.`));
    });
  }

  /** @param folder that the documents are in; none is written there */
  static async start(folder: string): Promise<LanguageServer> {
    const server = new LanguageServer(folder);
    const completion = { completionItem: { snippetSupport: true, documentationFormat: ["markdown"] } };
    await server.#request("initialize", {
      processId: process.pid,
      rootUri: null,
      capabilities: { workspace: { configuration: true }, textDocument: { completion } },
    });
    server.#send({ method: "initialized", params: {} });
    return server;
  }

  async stop(): Promise<void> {
    const exited = once(this.#child, "exit");
    await this.#request("shutdown");
    this.#send({ method: "exit" });
    await exited;
  }

  /** What it marks as wrong in a document, each with its line, from 1. */
  async faults(text: string): Promise<readonly string[]> {
    const uri = this.#nextUri();
    const published = this.#wait(uri);
    this.#open(uri, text);
    const diagnostics = (await published) as readonly Diagnostic[];
    return diagnostics.map(({ message, range, severity }) => {
      if (severity !== 1) throw new Error(`Not marked as an error: ${message}`);
      return `${range.start.line + 1}: ${message}`;
    });
  }

  /** What it offers where the text has a `|`. */
  async offers(text: string): Promise<readonly Offer[]> {
    const list = (await this.#ask("textDocument/completion", text)) as { readonly items: readonly Offer[] };
    return list.items;
  }

  /** What it shows when the pointer rests where the text has a `|`, in Markdown. */
  async hover(text: string): Promise<string> {
    const { contents } = (await this.#ask("textDocument/hover", text)) as { readonly contents: { value: string } };
    return contents.value;
  }

  #ask(method: string, marked: string): Promise<unknown> {
    const [before = "", after] = marked.split("|");
    if (after === undefined) throw new Error("There is no | in the text.");
    const uri = this.#nextUri();
    this.#open(uri, before + after);
    const lines = before.split("\n");
    const position = { line: lines.length - 1, character: lines.at(-1)?.length };
    return this.#request(method, { textDocument: { uri }, position });
  }

  #nextUri(): string {
    this.#documents += 1;
    return pathToFileURL(join(this.#folder, `settings-${this.#documents}.yml`)).href;
  }

  #open(uri: string, text: string): void {
    const textDocument = { uri, languageId: "yaml", version: 1, text };
    this.#send({ method: "textDocument/didOpen", params: { textDocument } });
  }

  #request(method: string, params?: unknown): Promise<unknown> {
    this.#requests += 1;
    const answered = this.#wait(this.#requests);
    this.#send({ id: this.#requests, method, params });
    return answered;
  }

  #wait(key: number | string): Promise<unknown> {
    return new Promise((resolve, reject) => this.#waiting.set(key, { resolve, reject }));
  }

  #settle(key: number | string, settle: (waiting: Waiting) => void): void {
    const waiting = this.#waiting.get(key);
    this.#waiting.delete(key);
    if (waiting !== undefined) settle(waiting);
  }

  #send(message: Message): void {
    const body = JSON.stringify({ jsonrpc: "2.0", ...message });
    this.#child.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  }

  #receive(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes]);
    for (;;) {
      const start = this.#received.indexOf("\r\n\r\n") + 4;
      if (start < 4) return;
      const head = this.#received.toString("latin1", 0, start);
      const end = start + Number(/^Content-Length: (\d+)\r$/m.exec(head)?.[1]);
      if (this.#received.length < end) return;
      const body = this.#received.toString("utf8", start, end);
      this.#received = this.#received.subarray(end);
      this.#take(JSON.parse(body) as Message);
    }
  }

  #take({ id, method, params, result, error }: Message): void {
    if (method === "workspace/configuration") {
      const { items } = params as { readonly items: readonly { readonly section: string }[] };
      this.#send({ id: id as number, result: items.map((item) => SETTINGS[item.section] ?? null) });
    } else if (method === "textDocument/publishDiagnostics") {
      const { uri, diagnostics } = params as Diagnostics;
      this.#settle(uri, ({ resolve }) => resolve(diagnostics));
    } else if (method !== undefined) {
      if (id !== undefined) this.#send({ id, result: null });
    } else if (id !== undefined) {
      this.#settle(id, ({ resolve, reject }) => (error ? reject(new Error(error.message)) : resolve(result)));
    }
  }
}
