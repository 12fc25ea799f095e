/**
 * Addresses of names. By DNS, over sockets: the system's own look-up takes one of the process's four threads for as long
 * as a name's servers don't answer, and four such names would hold up all other webhooks, and the log.
 */
import type { LookupAddress } from 'node:dns';
import dns from 'node:dns/promises';
import { Turns } from '../domain/turns.ts';

/** Finds all addresses of a name. @throws an error with a code, as `dns.lookup` has them */
export type Resolve = (hostname: string) => Promise<readonly LookupAddress[]>;

/** How long a server of names is waited for, in milliseconds, and how often it is asked. */
const TIMEOUT_MS = 3_000;
const TRIES = 2;

/** Threads that may be taken up by the system's look-up at one time. */
const SYSTEM_LOOKUPS = 2;

/** What a name server has answered, in contrast to none having answered. */
const NO_ADDRESS: ReadonlySet<unknown> = new Set(['ENOTFOUND', 'ENODATA']);

/** Makes the way in which names are resolved that DNS or, where DNS doesn't know them, this machine has. */
export function createResolver(): Resolve {
  const resolver = new dns.Resolver({ timeout: TIMEOUT_MS, tries: TRIES });
  const turns = new Turns(SYSTEM_LOOKUPS);
  return async (hostname) => {
    const [v4, v6] = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)]);
    const found = [...addresses(v4, 4), ...addresses(v6, 6)];
    if (found.length > 0) return found;
    const code = v4.status === 'rejected' ? (v4.reason as NodeJS.ErrnoException).code : undefined;
    // In the file of hosts there are names that DNS doesn't have; and a machine may have no DNS at all.
    if (NO_ADDRESS.has(code) || code === 'ECONNREFUSED') {
      return turns.take(() => dns.lookup(hostname, { all: true }));
    }
    throw v4.status === 'rejected' ? v4.reason : new Error('no address');
  };
}

function addresses(answer: PromiseSettledResult<string[]>, family: 4 | 6): LookupAddress[] {
  return answer.status === 'fulfilled' ? answer.value.map((address) => ({ address, family })) : [];
}
