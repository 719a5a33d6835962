export function tooWide(): number;
export function focusOutline(): string;
export function background(): string;
export function isFolded(): boolean;
export function axeFindings(): Promise<string[]>;
export function passUnchecked(): void;
