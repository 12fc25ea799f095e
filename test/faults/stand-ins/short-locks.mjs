/** What short-locks-redis.mjs and short-locks-postgres.mjs have in common. */
export function withShortLocks(backend) {
  return {
    ...backend,
    createWorker: (lane, processor, options) =>
      backend.createWorker(lane, processor, { ...options, lockDuration: 2_000, stalledInterval: 1_000 }),
  };
}
