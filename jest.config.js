import { availableParallelism } from "node:os";

// Specs are ES modules in TypeScript: swc compiles them, `tsc` checks their types apart (npm run types).
export default {
  testEnvironment: "<rootDir>/spec/support/environment.mjs",
  globalSetup: "<rootDir>/spec/support/global-setup.mjs",
  globalTeardown: "<rootDir>/spec/support/global-teardown.mjs",
  testMatch: ["<rootDir>/spec/**/*.spec.ts"],
  // What ships is CommonJS, and has a `require`; here lib's files are ES modules.
  setupFiles: ["<rootDir>/spec/support/require.mjs"],
  // Only what hangs is ended: a busy machine may take long over any of them.
  testTimeout: 300_000,
  // Three workers on two cores: a third of the time they wait, for deadlines, servers and browsers.
  maxWorkers: Math.ceil(1.5 * availableParallelism()),
  // What a spec file leaves in its process slows those after it: the backend contract's took ten times as long.
  workerIdleMemoryLimit: "500MB",
  extensionsToTreatAsEsm: [".ts"],
  transform: {
    "\\.ts$": [
      "@swc/jest",
      {
        swcrc: false,
        sourceMaps: "inline",
        module: { type: "es6" },
        jsc: {
          target: "es2023",
          parser: { syntax: "typescript" },
          transform: { verbatimModuleSyntax: true },
        },
      },
    ],
  },
  moduleNameMapper: {
    "^express-tokenizer$": "<rootDir>/lib/index.ts",
    "^express-tokenizer/backend-contract$": "<rootDir>/lib/testing/backend-contract.ts",
    "^(\\.{1,2}/.*)\\.js$": "$1",
  },
  watchman: false,
};
