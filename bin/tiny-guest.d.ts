/** Builds the tiny guest unless it is there, and answers the path of its disk image. */
export function ensureTinyGuest(): string;
