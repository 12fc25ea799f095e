/** The output of the evaluator: what it answers about an object. It is kept, shown and sent as JSON text. */

/** That of an object about which nothing was answered. */
export const EMPTY_OUTPUT = JSON.stringify({ actions: [], labels: [], fields: {} });

/** Largest output, in bytes of JSON text. */
export const MAX_OUTPUT_BYTES = 1024 * 1024;
