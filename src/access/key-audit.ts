/** Audit lines of API keys: what each process that takes keys has seen change, also what was changed by hand. */
import type { ActiveApiKey } from '../domain/api-key.ts';
import type { Log } from '../telemetry.ts';

/**
 * Makes a function that is told of all keys whenever they were read, and logs how they differ from those before.
 * @param now the clock, in milliseconds since 1970
 */
export function keyAudit(
  log: Pick<Log, 'info'>,
  now: () => number = Date.now,
): (keys: readonly ActiveApiKey[]) => void {
  let before: ReadonlyMap<string, ActiveApiKey> | undefined;
  return (keys) => {
    const after = new Map(keys.map((key) => [key.id, key]));
    const known = before;
    before = after;
    // Those of the start are no change.
    if (!known) return;
    for (const key of keys) {
      const earlier = known.get(key.id);
      if (!earlier) log.info({ audit: 'api_key.created', ...rightsOf(key) }, 'an API key was created');
      else if (JSON.stringify(rightsOf(earlier)) !== JSON.stringify(rightsOf(key)))
        log.info({ audit: 'api_key.changed', ...rightsOf(key) }, 'the rights of an API key were changed');
    }
    for (const key of known.values()) {
      // Keys that expired long ago are read no more.
      const hasExpired = key.expiresAt !== undefined && key.expiresAt.getTime() <= now();
      if (!after.has(key.id) && !hasExpired)
        log.info({ audit: 'api_key.revoked', ...rightsOf(key) }, 'an API key was revoked');
    }
  };
}

function rightsOf({ id, name, scopes, namespaces, requestRate, objectRate, expiresAt }: ActiveApiKey) {
  return {
    key: id,
    keyName: name,
    scopes,
    namespaces: namespaces ?? null,
    requestRate: requestRate ?? null,
    objectRate: objectRate ?? null,
    expiresAt: expiresAt ?? null,
  };
}
