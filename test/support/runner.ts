/** Runs the tests, and fails the run where a file of tests leaves something open behind it. */
import type { RunnerTestFile } from 'vitest';
import { TestRunner, vi } from 'vitest';
import { waitFor } from './wait-for.ts';

/** What keeps a process from ending, by the names of Node.js: servers, connections, child processes, pipes to them. */
const WATCHED = ['TCPServerWrap', 'TCPSocketWrap', 'PipeWrap', 'ProcessWrap', 'MessagePort'];

/** How long connections that were closed may take to be gone, in milliseconds. */
const PATIENCE_MS = 6_000;

/** Of which a file must not leave listeners behind. */
const EVENTS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'uncaughtException'] as const;

/** What there was before the first file of this process: the ways to vitest itself. */
let allowed: ReadonlyMap<string, number> | undefined;

export default class LeakChecking extends TestRunner {
  #file = '';

  override onCollectStart(file: RunnerTestFile): void {
    super.onCollectStart(file);
    this.#file = file.name;
    allowed ??= inUse();
  }

  override async onAfterRunFiles(): Promise<void> {
    super.onAfterRunFiles();
    await waitFor('everything to be closed', () => leaks().length === 0, PATIENCE_MS).catch(() => {
      const left = leaks().join(', ');
      // The next file is not to blame.
      allowed = inUse();
      throw new Error(`${this.#file} has left behind: ${left}`);
    });
    if (vi.isFakeTimers()) throw new Error(`${this.#file} has left fake timers behind`);
  }
}

function leaks(): readonly string[] {
  return [...inUse()]
    .map(([name, count]) => [name, count - (allowed?.get(name) ?? 0)] as const)
    .filter(([, more]) => more > 0)
    .map(([name, more]) => `${more} ${name}`);
}

function inUse(): ReadonlyMap<string, number> {
  const found = new Map<string, number>(
    EVENTS.map((name) => [`${name} listeners`, process.listenerCount(name)]),
  );
  for (const name of process.getActiveResourcesInfo().filter((one) => WATCHED.includes(one)))
    found.set(name, (found.get(name) ?? 0) + 1);
  return found;
}
