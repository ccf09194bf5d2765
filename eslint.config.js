import tseslint from "typescript-eslint";

const clockOnly = "Inject a Clock (packages/core/src/clock.ts): tests then need no sleeping.";
const exitOnly = "Only main.ts decides how a program ends; release everything and set process.exitCode there.";

export default tseslint.config(
  { ignores: ["node_modules", "**/node_modules", ".hl", "build", "packages/cloud/src/dashboard/assets"] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { project: "./tsconfig.json", tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/explicit-module-boundary-types": "error",
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
      "@typescript-eslint/require-await": "off",
      "@typescript-eslint/no-empty-function": "off",
      "@typescript-eslint/only-throw-error": "off",
      "@typescript-eslint/prefer-promise-reject-errors": "off",
      "no-console": "error",
      "no-restricted-exports": ["error", { restrictDefaultExports: { direct: true } }],
      "no-restricted-globals": [
        "error",
        { name: "setTimeout", message: clockOnly },
        { name: "setInterval", message: clockOnly },
      ],
      "no-restricted-properties": ["error", { object: "process", property: "exit", message: exitOnly }],
    },
  },
  {
    files: ["**/*.test.ts", "native/**", "tests/**", "bench/**", "packages/testkit/**"],
    rules: {
      "@typescript-eslint/no-non-null-assertion": "off",
      // An assertion narrows what the next line reads; `?.` there is a habit, not a mistake.
      "@typescript-eslint/no-unnecessary-condition": "off",
      "@typescript-eslint/no-floating-promises": [
        "error",
        {
          allowForKnownSafeCalls: [
            {
              from: "package",
              package: "node:test",
              name: ["test", "it", "describe", "suite", "before", "after", "beforeEach", "afterEach"],
            },
          ],
        },
      ],
      "@typescript-eslint/no-unsafe-assignment": "off",
      "@typescript-eslint/no-unsafe-member-access": "off",
      "@typescript-eslint/no-unsafe-call": "off",
      "@typescript-eslint/no-unsafe-argument": "off",
      "@typescript-eslint/no-unsafe-return": "off",
    },
  },
  {
    files: ["scripts/**", "bench/**", "tests/**", "native/**"],
    rules: { "no-console": "off", "no-restricted-properties": "off", "no-restricted-globals": "off" },
  },
  { files: ["packages/core/src/clock.ts"], rules: { "no-restricted-globals": "off" } },
  { files: ["**/*.js", "**/*.cjs"], ...tseslint.configs.disableTypeChecked },
  { files: ["eslint.config.js"], rules: { "no-restricted-exports": "off" } },
);
