/** What short-locks-redis.mjs and short-locks-postgres.mjs have in common. */
export function withShortLocks(backend) {
  const withLocks = (createWorker) => (lane, processor, options) =>
    createWorker(lane, processor, { ...options, lockDuration: 2_000, stalledInterval: 1_000 });
  return {
    ...backend,
    createWorker: withLocks(backend.createWorker),
    ...(backend.createEarlierWorker ? { createEarlierWorker: withLocks(backend.createEarlierWorker) } : {}),
  };
}
