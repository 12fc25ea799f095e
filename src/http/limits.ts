/**
 * How long clients may take and how much they may keep open: what a slow or stuck client, or thousands of them, can
 * hold of the server. Constants rather than settings: they are far from what a client that works needs, and an operator
 * who wants less has a proxy in front.
 */
export interface HttpLimits {
  /**
   * Longest time until all headers of a request are there, from its first byte, or from the connection where it is
   * the first one. 16 KiB need no more even over a bad line.
   */
  readonly headersMs: number;
  /** How often it is looked for headers that are late: so much later they are found out. */
  readonly headersCheckMs: number;
  /** Longest time without a byte of a body that is waited for. A mobile network may be gone for some seconds. */
  readonly bodyIdleMs: number;
  /** Slowest pace of a body, once {@link bodyIdleMs} are over; as in Kestrel, and less than any modem's. */
  readonly bodyBytesPerSecond: number;
  /** Longest time for a whole body: the largest one at 90 kB/s, but not for ever. */
  readonly bodyMs: number;
  /** Longest time without a byte of a file that is uploaded; time in which the server wants none doesn't count. */
  readonly uploadIdleMs: number;
  /**
   * Longest time in which a connection stands still in the middle of a request or an answer: a client that doesn't
   * read its answer. Any byte that gets through starts it anew. Uploads don't have it, they may stand still for our sake.
   */
  readonly stalledMs: number;
  /**
   * How long a connection is kept for the next request. Longer than the 60 s of the usual load balancers (nginx,
   * AWS): the side that sends the requests should be the one that closes, or it sends one into a closing connection.
   */
  readonly keepAliveMs: number;
  /**
   * How long what a client still sends after its answer is read, at most, so that it gets to see the answer; and how
   * long without a byte of it. Both as in nginx.
   */
  readonly lingerMs: number;
  readonly lingerIdleMs: number;
  /**
   * Most connections at one time; further ones get 503 and are closed. Each
   * takes up a file descriptor, and some dozens of kilobytes. Where the process may open fewer files it is less
   * ({@link maxConnections}).
   */
  readonly connections: number;
  /** Most files that are uploaded at one time: each holds a few megabytes on their way into the queue. */
  readonly uploads: number;
}

export const HTTP_LIMITS: HttpLimits = {
  headersMs: 15_000,
  headersCheckMs: 2_000,
  bodyIdleMs: 20_000,
  bodyBytesPerSecond: 240,
  bodyMs: 120_000,
  uploadIdleMs: 60_000,
  stalledMs: 60_000,
  keepAliveMs: 75_000,
  lingerMs: 30_000,
  lingerIdleMs: 5_000,
  connections: 10_000,
  uploads: 16,
};
