/** What an Inlet tells of lost writes. */
import type { QueueConfig } from '../../src/runtime.ts';
import { runCommand } from './command.ts';
import type { TestInlet } from './inlet.ts';
import { waitFor } from './wait-for.ts';

/** The warnings of `/readyz`. */
export async function warnings({ url }: TestInlet): Promise<readonly string[]> {
  return ((await (await fetch(`${url}/readyz`)).json()) as { warnings?: string[] }).warnings ?? [];
}

/** Waits until a warning tells of a loss. */
export async function told(inlet: TestInlet, cause: RegExp): Promise<string> {
  return waitFor('the loss to be told', async () => (await warnings(inlet)).find((line) => cause.test(line)));
}

/** A loss as `inlet queue losses --json` has it. */
export interface ListedLoss {
  readonly cause: string;
  readonly from: string | null;
  readonly to: string;
  readonly request_ids: readonly string[];
}

/** Runs `inlet queue …`. */
export async function command(config: QueueConfig, ...args: readonly string[]) {
  const { code, stdout, stderr } = await runCommand(['queue', ...args], {
    DATABASE_URL: config.databaseUrl,
    INLET_REDIS_PREFIX: config.redisPrefix,
    ...(config.redisUrl ? { REDIS_URL: config.redisUrl } : {}),
  });
  return { code, stdout, stderr };
}

/** The losses that the command lists. */
export async function losses(config: QueueConfig): Promise<readonly ListedLoss[]> {
  return (JSON.parse((await command(config, 'losses', '--json')).stdout) as { data: ListedLoss[] }).data;
}
