#!/usr/bin/env node
/** `npx express-tokenizer`. */
import { main } from "./main.js";

process.exitCode = await main(process.argv.slice(2), {
  print: (line) => process.stdout.write(`${line}\n`),
  tell: (line) => process.stderr.write(`${line}\n`),
  env: process.env,
});
