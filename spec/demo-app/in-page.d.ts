export function tooWide(): number;
export function focusOutline(): string;
export function background(): string;
export function nameless(): string[];
export function unreadable(): string[];
