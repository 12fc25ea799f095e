/** Exit codes of the command: done, failed, wrong usage. */
export const EXIT = { done: 0, failed: 1, usage: 2 } as const;
