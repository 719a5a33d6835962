// Specs are ES modules in TypeScript: swc compiles them, `tsc` checks their types apart (npm run types).
export default {
  testEnvironment: "node",
  testMatch: ["<rootDir>/spec/**/*.spec.ts"],
  testTimeout: 20_000,
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
    "^(\\.{1,2}/.*)\\.js$": "$1",
  },
  watchman: false,
};
