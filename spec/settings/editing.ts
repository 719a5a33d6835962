/** An editor, open in a project that installed the package. */
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../demo-app/root.js";
import { LanguageServer } from "../support/language-server.js";

export const FIRST_LINE = "# yaml-language-server: $schema=node_modules/express-tokenizer/settings.schema.json";

export interface Editing {
  readonly editor: LanguageServer;
  /** The project's folder. */
  readonly project: string;
  stop(): Promise<void>;
}

export async function startEditing(): Promise<Editing> {
  const project = mkdtempSync(join(tmpdir(), "editor-spec-"));
  const name = "settings.schema.json";
  cpSync(join(ROOT, name), join(project, "node_modules/express-tokenizer", name));
  const editor = await LanguageServer.start(project);
  const stop = async () => {
    await editor.stop();
    rmSync(project, { recursive: true });
  };
  return { editor, project, stop };
}
