// Services must not outlive the tests, not even where the process that started them is killed and can't clean up.
import { spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * Starts a shell that does nothing until this process is gone, however it ends: then its standard input closes, and
 * it ends the service and removes its folder. It has a session of its own, so Ctrl-C doesn't reach it.
 *
 * @param signal what ends the service at once, without the SIG: `KILL`, or `QUIT` for PostgreSQL
 * @returns what calls it off, to be called before the process id can belong to somebody else
 */
export function reapAfterDeath(pid: number, signal: 'KILL' | 'QUIT', folder: string): () => Promise<void> {
  return runAfterDeath('kill -"$1" "$2"; sleep 1; rm -rf "$3"', signal, `${pid}`, folder);
}

/**
 * Runs a script of the shell when this process is gone.
 * @param words what the script knows as $1 and so on
 * @returns what calls it off
 */
export function runAfterDeath(script: string, ...words: readonly string[]): () => Promise<void> {
  if (process.platform === 'win32') return async () => {};
  const shell = spawn('sh', ['-c', `read -r _; ${script}`, 'sh', ...words], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  shell.unref();
  const exited = once(shell, 'exit');
  return async () => {
    shell.ref(); // or this process, waiting for nothing else, might end before it goes on
    shell.kill('SIGKILL');
    await exited;
  };
}
