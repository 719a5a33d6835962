/** What the schemas of settings are made of. */

/** The keywords of JSON Schema that are used here. `writeOnly` marks a secret: its value is never shown. */
export interface SettingSchema {
  /** The first sentence is shown in faults, so it is short and names the unit. */
  readonly description: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly (string | boolean)[];
  /** One for each word of `enum`; editors show them. */
  readonly enumDescriptions?: readonly string[];
  readonly default?: unknown;
  readonly examples?: readonly unknown[];
  readonly writeOnly?: true;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly pattern?: string;
  readonly minItems?: number;
  readonly items?: SettingSchema;
  readonly properties?: Readonly<Record<string, SettingSchema>>;
  readonly additionalProperties?: boolean;
}

/** One schema for each key of an interface: the compiler names the one forgotten, or the one too many. */
export type Complete<T> = { readonly [Key in keyof Required<T>]: SettingSchema };

/** Ten years: far above any use, and far below what a date can hold. */
export const MOST_MINUTES = 10 * 366 * 24 * 60;
/** A timer of Node cannot be longer than 24.8 days; a request should not come near. */
export const MOST_STORE_SECONDS = 3600;
/** Far above any session that makes sense: 64 MB. */
export const MOST_KILOBYTES = 65_536;

export const text = { type: "string", minLength: 1 } as const;
export const minutes = { type: "number", exclusiveMinimum: 0, maximum: MOST_MINUTES } as const;
export const secret = { ...text, writeOnly: true } as const;

export function secrets(description: string): SettingSchema {
  return {
    description,
    type: ["string", "array"],
    writeOnly: true,
    minLength: 1,
    minItems: 1,
    items: { description: "One of the secrets, a text", ...secret },
  };
}
