/** The command line of `npm run seed`. */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { ClientOptions } from '../../src/commands/client.ts';
import { ApiError, clientOptions } from '../../src/commands/client.ts';
import { count } from '../../src/commands/progress.ts';
import type { Stream } from '../../src/commands/terminal.ts';
import { Screen } from '../../src/commands/terminal.ts';
import { OperatorError } from '../../src/errors.ts';
import { EXIT } from '../../src/exit.ts';
import type { Shop } from './data.ts';
import { createShop } from './data.ts';
import type { Filled } from './fill.ts';
import { fill } from './fill.ts';

/** The data folder of `npm run dev`. */
const DATA_DIR = '.inlet-dev';

const HELP = `Usage: npm run seed -- [--url URL]

Fills a running Inlet with a made-up shop: products, customers and orders with versions, deletes, a schema, an
import with unreadable lines, and a webhook endpoint that can't be reached. Run again, it writes the same objects
as new versions.

  --url URL   where Inlet is (default: INLET_URL, or this machine at PORT or 8080)
  -h, --help  print this help

The key comes from INLET_API_KEY, or from the data folder INLET_DATA_DIR (default: ${DATA_DIR}, the one of "npm run dev").
To fill an Inlet that "npm start" runs: INLET_DATA_DIR=.inlet npm run seed
`;

const HINT = 'Start Inlet with "npm run dev"; --help says how to name another one.';

/** How long Inlet may take to answer at all, in milliseconds. */
const ANSWER_TIMEOUT_MS = 5_000;

type Environment = Readonly<Record<string, string | undefined>>;

/** @returns the exit code */
export async function runSeed(
  args: readonly string[],
  terminal: { readonly env: Environment; readonly stdout: Stream; readonly stderr: Stream },
): Promise<number> {
  const stdout = new Screen(terminal.stdout);
  const stderr = new Screen(terminal.stderr);
  let url: string | undefined;
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { url: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
    });
    if (values.help) {
      stdout.write(HELP);
      return EXIT.done;
    }
    url = values.url;
  } catch (error) {
    stderr.write(`seed: ${(error as Error).message}\n`);
    return EXIT.usage;
  }
  const env = { ...terminal.env, INLET_DATA_DIR: terminal.env['INLET_DATA_DIR'] || DATA_DIR };
  try {
    const client = await clientOptions(url, env).catch(withHint);
    await requireAnswer(client).catch(withHint);
    const shop = createShop();
    const filled = await fill(client, shop, stderr).catch((error: unknown) =>
      error instanceof ApiError && error.status === 401 ? withHint(error) : Promise.reject(error),
    );
    stdout.write(summary(client, shop, filled, env));
    return EXIT.done;
  } catch (error) {
    stderr.write(`seed: ${error instanceof OperatorError ? error.message : (error as Error).stack}\n`);
    return EXIT.failed;
  }
}

/** The client retries for a quarter of a minute; here it is likely that Inlet was not started. */
async function requireAnswer({ url }: ClientOptions): Promise<void> {
  try {
    await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
  } catch (error) {
    const { cause, message } = error as Error;
    throw new OperatorError(`Cannot reach ${url}: ${cause instanceof Error ? cause.message : message}`);
  }
}

function withHint(error: unknown): never {
  if (!(error instanceof OperatorError)) throw error;
  throw new OperatorError(`${error.message}${/[.)]$/.test(error.message) ? '' : '.'} ${HINT}`);
}

/** What was made, and commands that show it. */
function summary(
  { url }: ClientOptions,
  { writes, updates, deletes }: Shop,
  { endpointId, importId, imported, unreadable }: Filled,
  env: Environment & { readonly INLET_DATA_DIR: string },
): string {
  const sizes = (some: Shop['writes'], namespace: string): number =>
    some.filter((one) => one.namespace === namespace).reduce((sum, { objects }) => sum + objects.length, 0);
  const made = writes.map(({ namespace, objects }) => {
    const parts = [`${objects.length} objects`, `${sizes(updates.flat(), namespace)} updates`];
    const deleted = deletes.filter((one) => one.namespace === namespace).length;
    if (deleted > 0) parts.push(`${deleted} deletes`);
    if (namespace === 'products') parts.push('a schema');
    if (namespace === 'orders') parts.push(`${count(imported)} imported, ${unreadable} unreadable lines`);
    return `  ${namespace.padEnd(10)} ${parts.join(', ')}`;
  });
  const hasKey = Boolean(env['INLET_API_KEY']?.trim());
  const key = hasKey ? '$INLET_API_KEY' : `$(cat ${join(env.INLET_DATA_DIR, 'api-key')})`;
  const get = `curl -H "Authorization: Bearer ${key}" ${url}/v1/data`;
  const inlet = 'npm run --silent inlet --';
  return `
Made at ${url}:

${made.join('\n')}
  webhooks   ${endpointId}, whose deliveries fail and are retried

Look at it, at ${url}/docs or with:

  export INLET_URL=${url}${hasKey ? '' : ` INLET_DATA_DIR=${env.INLET_DATA_DIR}`}
  ${inlet} requests list -n orders --limit 10
  ${inlet} requests show ${importId} -n orders
  ${inlet} failed list -n orders
  ${inlet} webhooks deliveries --limit 10
  ${get}/products/objects/prod_0001
  ${get}/products/objects/prod_0001/revisions
  ${get}/products/settings
`;
}
