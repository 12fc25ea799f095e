/** All that decides who may call: the keys in memory, their watch, and the rates; opened and closed together. */
import type { Log } from '../telemetry.ts';
import { errorReporter } from '../telemetry.ts';
import { keyAudit } from './key-audit.ts';
import { KeyRing } from './key-ring.ts';
import { KeyWatch } from './key-watch.ts';
import { RateLimits } from './rate-limits.ts';

export interface AccessOptions {
  /** Keys of this process's settings, which have access to everything. */
  readonly fixedKeys: readonly string[];
  readonly databaseUrl: string;
  readonly redisUrl: string | undefined;
  readonly redisPrefix: string;
  readonly log: Log;
}

/** Who may call, and how much. */
export interface AccessControl {
  readonly identify: KeyRing['identify'];
  readonly takeRequest: RateLimits['takeRequest'];
  readonly takeObjects: RateLimits['takeObjects'];
  close(): Promise<void>;
}

/** Reads the keys, where the database can be reached, and follows their changes from then on. */
export async function openAccessControl(options: AccessOptions): Promise<AccessControl> {
  const { fixedKeys, databaseUrl, redisUrl, redisPrefix, log } = options;
  const ring = new KeyRing(fixedKeys);
  const watch = new KeyWatch({
    ring,
    databaseUrl,
    onKeys: keyAudit(log),
    onError: errorReporter(log, 'cannot read the API keys: those that are known go on working'),
  });
  const rates = new RateLimits({
    redisUrl,
    redisPrefix,
    onError: errorReporter(log, "cannot count keys' rates in Redis: this process counts for itself"),
  });
  await watch.start();
  if (ring.size === 0)
    log.warn('there is no API key yet, so nobody can call: make one with "inlet keys create"');
  return {
    identify: (key) => ring.identify(key),
    takeRequest: (caller) => rates.takeRequest(caller),
    takeObjects: (caller, count) => rates.takeObjects(caller, count),
    async close() {
      await Promise.all([watch.close(), rates.close()]);
    },
  };
}
