/** Ends the process at a named point as `kill -9` does: nothing after this line happens. */
export function die() {
  process.kill(process.pid, 'SIGKILL');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}
