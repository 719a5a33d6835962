/** What `npm run api` would write, of the package in this folder as it is built. */
export function documentOf(
  root: string,
  fixture?: {
    /** Files of declarations in its folder `dist`. */
    readonly entries: readonly string[];
    readonly outline: readonly {
      readonly title: string;
      readonly names: readonly { readonly name: string; readonly as?: string }[];
    }[];
  },
): {
  /** A line for each name without a comment, and each link that leads nowhere. */
  readonly faults: readonly string[];
  /** Empty where there are faults. */
  readonly page: string;
};
