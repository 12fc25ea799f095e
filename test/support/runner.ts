/** Runs the tests, and fails the run where a file of tests leaves something open behind it. */
import type { RunnerTestFile } from 'vitest';
import { TestRunner } from 'vitest';
import { waitFor } from './wait-for.ts';

/** What keeps a process from ending, by the names of Node.js: servers, connections, child processes, threads. */
const WATCHED = ['TCPServerWrap', 'TCPSocketWrap', 'PipeWrap', 'ProcessWrap', 'MessagePort'];

/** How long connections that were closed may take to be gone, in milliseconds. */
const PATIENCE_MS = 6_000;

/** What was open before the first file of this process: the ways to vitest itself. */
let allowed: readonly string[] | undefined;

export default class LeakChecking extends TestRunner {
  #file = '';

  override onCollectStart(file: RunnerTestFile): void {
    super.onCollectStart(file);
    this.#file = file.name;
    allowed ??= openResources();
  }

  override async onAfterRunFiles(): Promise<void> {
    super.onAfterRunFiles();
    const isClosed = (): boolean => openResources().length <= (allowed?.length ?? 0);
    await waitFor('everything to be closed', isClosed, PATIENCE_MS).catch(() => {
      const before = allowed?.join(', ');
      // The next file is not to blame.
      allowed = openResources();
      throw new Error(`${this.#file} has left open: ${allowed.join(', ')} (before: ${before})`);
    });
  }
}

function openResources(): readonly string[] {
  return process.getActiveResourcesInfo().filter((name) => WATCHED.includes(name));
}
